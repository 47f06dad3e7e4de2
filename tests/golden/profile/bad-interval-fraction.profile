{
  "FlowMetadata": {
    "Interval": 1000.5
  }
}
