{
  "FlowMetadata": {
    "Enabled": yes
  }
}
