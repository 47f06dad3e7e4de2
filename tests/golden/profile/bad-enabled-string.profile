{
  "FlowMetadata": {
    "Enabled": "true"
  }
}
