{
  "FlowMetadata": {
    "IpFixCollectors": [ [ "Udp/192.0.2.1", "File/flows.ipfix" ] ]
  }
}
