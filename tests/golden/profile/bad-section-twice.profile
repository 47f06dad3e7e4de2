{
  "FlowMetadata": {},
  "FlowMetadata": {}
}
