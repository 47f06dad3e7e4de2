{ "FlowMetadata": { "Tls": "/etc/weir" } }
