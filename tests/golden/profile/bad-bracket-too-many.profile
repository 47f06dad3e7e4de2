{
  "FlowMetadata": {
    "Enabled": true
  }
}
}
