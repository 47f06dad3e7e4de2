{
  "FlowMetadata": true
}
