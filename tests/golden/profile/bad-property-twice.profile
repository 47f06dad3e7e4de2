{
  "FlowMetadata": {
    "Interval": 0,
    "Enabled": true,
    "Interval": 60000
  }
}
