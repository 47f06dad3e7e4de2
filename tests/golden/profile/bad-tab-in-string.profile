{
  "FlowMetadata": {
    "Direction": "Bo	th"
  }
}
