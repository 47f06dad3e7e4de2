{
  "FlowMetadata": {
    # every minute
    "Interval": 60000
  }
}
