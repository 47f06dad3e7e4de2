{
  "FlowMetadata": {
    "Direction": "\ud800"
  }
}
