{
  "FlowMetadata": {
    "Direction": "ä€😀", "Interval": 1
  }
}
