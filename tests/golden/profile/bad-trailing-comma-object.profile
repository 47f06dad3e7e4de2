{
  "FlowMetadata": {
    "Interval": 60000,
  }
}
