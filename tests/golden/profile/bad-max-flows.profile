{
  "FlowMetadata": {
    "MaxFlows": 0
  }
}
