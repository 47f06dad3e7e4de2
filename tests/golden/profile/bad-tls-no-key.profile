{
  "FlowMetadata": {
    "Tls": { "Certificate": "/etc/weir/cert.pem", "Ca": "/etc/weir/ca.pem" },
    "IpFixCollectors": [ "Udp/10.0.0.1", "Tls/collector.example" ]
  }
}
