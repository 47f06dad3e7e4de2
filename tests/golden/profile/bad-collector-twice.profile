{
  "FlowMetadata": {
    "IpFixCollectors": [ "Udp/192.0.2.1:4739", "udp/192.0.2.1" ]
  }
}
