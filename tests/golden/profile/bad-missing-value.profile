{
  "FlowMetadata": {
    "Interval": ,
    "Enabled": true
  }
}
