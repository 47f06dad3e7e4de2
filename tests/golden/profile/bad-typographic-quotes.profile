{
  "FlowMetadata": {
    “Direction”: “Both”
  }
}
