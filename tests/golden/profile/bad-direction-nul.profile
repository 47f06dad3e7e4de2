{
  "FlowMetadata": {
    "Direction": "Both\u0000"
  }
}
