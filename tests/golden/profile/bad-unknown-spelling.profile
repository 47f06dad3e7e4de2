{
  "FlowMetadata": {
    "Intreval": 60000
  }
}
