{
  "FlowMetadata": {
    "Enabled": True
  }
}
