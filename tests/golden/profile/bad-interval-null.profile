{
  "FlowMetadata": {
    "Interval": null
  }
}
