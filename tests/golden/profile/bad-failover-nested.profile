{
  "FlowMetadata": {
    "IpFixCollectors": [ [ "Udp/192.0.2.1", [ "Udp/192.0.2.2" ] ] ]
  }
}
