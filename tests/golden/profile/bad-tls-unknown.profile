{ "FlowMetadata": { "Tls": { "Certficate": "/etc/weir/cert.pem" } } }
