{
  "FlowMetadata": {
    "Interval": 90
  }
}
