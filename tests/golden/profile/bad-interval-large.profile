{
  "FlowMetadata": {
    "Interval": 9999999999999
  }
}
