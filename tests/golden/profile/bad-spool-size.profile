{
  "FlowMetadata": {
    "IpFixCollectors": [ "Tcp/192.0.2.1" ],
    "Spool": { "Folder": "/var/spool/weir", "Size": 1000 }
  }
}
