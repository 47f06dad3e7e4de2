{
  "FlowMetadata": {
    "Sampling": 100
  }
}
