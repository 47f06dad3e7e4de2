{
  "FlowMetadata": {
    "Enabled": 1
  }
}
