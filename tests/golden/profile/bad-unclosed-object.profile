{
  "FlowMetadata": {
    "Enabled": true
  }
