{
  "FlowMetadata": {
    "Direction": 2
  }
}
