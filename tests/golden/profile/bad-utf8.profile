{
  "FlowMetadata": {
    "Direction": "Bÿoth"
  }
}
