{ "FlowMetadata": { "Tls": { "Key": "/a",
  "Key": "/b" } } }
