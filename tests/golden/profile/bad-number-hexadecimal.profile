{
  "FlowMetadata": {
    "Interval": 0xEA60
  }
}
