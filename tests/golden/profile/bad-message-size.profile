{
  "FlowMetadata": {
    "MaxMessageSize": 100
  }
}
