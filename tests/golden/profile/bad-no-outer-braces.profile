"FlowMetadata": {
  "Enabled": true
}
