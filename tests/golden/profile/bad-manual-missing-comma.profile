{
  "FlowMetadata": {
    "IpFixCollectors": [ "Udp/172.16.1.100:4739" ],
    "Direction": "Both"
    "Interval": 60000,
    "Enabled": true
  }
}
