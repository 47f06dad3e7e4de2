{
  "FlowMetadata": {
    "IpFixCollectors": [],
    "Enabled": true
  }
}
