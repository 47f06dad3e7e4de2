{
  "FlowMetadata": {
    "IpFixCollectors": [
      "Udp/192.0.2.1",
      [ "Tcp/192.0.2.2", "Tcp/192.0.2.3", "Udp/192.0.2.4" ],
      [ "Udp/192.0.2.5", "Udp/192.0.2.6" ]
    ],
    "FailoverHold": 0,
    "Spool": { "Folder": "/var/spool/weir", "Size": 1048576, "Rate": 0 }
  }
}
