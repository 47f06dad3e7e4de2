{
  "FlowMetadata": {
    "Interval": 60000 "Enabled": true
  }
}
