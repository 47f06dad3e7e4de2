{
  "FlowMetadata": {
    "Direction": "Both,
    "Enabled": true
  }
}
