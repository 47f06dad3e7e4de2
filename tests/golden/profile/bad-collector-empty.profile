{
  "FlowMetadata": {
    "IpFixCollectors": [ "" ]
  }
}
