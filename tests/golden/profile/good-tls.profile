{
  "FlowMetadata": {
    "IpFixCollectors": [ "Tls/collector.example", "Tcp/10.0.0.1", "Dtls/[2001:db8::1]:4740", "Sctp/10.0.0.2" ],
    "ReconnectInterval": 5000,
    "SctpLifetime": 30000,
    "Tls": { "Certificate": "/etc/weir/cert.pem", "Key": "/nonexistent/weir/key.pem", "Ca": "/etc/weir/ca.pem",
      "ServerName": "flows.example", "AllowedNames": [ "flows.example", "Collector 7" ], "MinimumVersion": "1.2" }
  }
}
