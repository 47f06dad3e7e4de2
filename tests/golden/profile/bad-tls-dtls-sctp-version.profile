{
  "FlowMetadata": {
    "IpFixCollectors": [ "DtlsSctp/collector.example" ],
    "Tls": { "Certificate": "/etc/weir/cert.pem", "Key": "/nonexistent/weir/key.pem", "Ca": "/etc/weir/ca.pem", "MinimumVersion": "1.3" }
  }
}
