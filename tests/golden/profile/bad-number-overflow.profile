{
  "FlowMetadata": {
    "Interval": 1e999
  }
}
