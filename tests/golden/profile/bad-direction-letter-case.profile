{
  "FlowMetadata": {
    "Direction": "both"
  }
}
