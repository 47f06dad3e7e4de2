{
  "FlowMetadata": {
    "Interval": 060000
  }
}
