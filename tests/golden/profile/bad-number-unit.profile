{
  "FlowMetadata": {
    "Interval": 60s
  }
}
