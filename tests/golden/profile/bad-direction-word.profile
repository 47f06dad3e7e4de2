{
  "FlowMetadata": {
    "Direction": "Sending"
  }
}
