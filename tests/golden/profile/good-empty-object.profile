{
  "FlowMetadata": {
  }
}
