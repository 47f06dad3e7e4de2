{
  "FlowMetadata": {
    "IpFixCollectors": [ [ "Udp/192.0.2.1" ] ]
  }
}
