{
  "FlowMetadata": {
    "Direction": Both
  }
}
