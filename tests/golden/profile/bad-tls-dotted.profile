{ "FlowMetadata": { "Tls.Key": "/etc/weir/key.pem" } }
