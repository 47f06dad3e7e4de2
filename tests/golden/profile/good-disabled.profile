{
  "FlowMetadata": {
    "Enabled": false,
    "IpFixCollectors": [ "Udp/172.16.1.100:4739" ]
  }
}
