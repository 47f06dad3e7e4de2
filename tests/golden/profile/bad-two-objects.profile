{
  "FlowMetadata": {
    "Enabled": true
  }
}
{
  "FlowMetadata": {
    "Enabled": true
  }
}
