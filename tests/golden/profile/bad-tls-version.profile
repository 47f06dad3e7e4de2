{ "FlowMetadata": { "Tls": { "MinimumVersion": "1.1" } } }
