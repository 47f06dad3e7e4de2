{
  "FlowMetadata": {
    "IpFixCollectors": [ "Udp/192.0.2.1",
                         "Http/192.0.2.2" ]
  }
}
