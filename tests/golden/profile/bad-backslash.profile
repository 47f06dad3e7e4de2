{
  "FlowMetadata": {
    "IpFixCollectors": [ "File/C:\weir" ]
  }
}
