{ "FlowMetadata": { "Tls": { "AllowedNames": [ "a", "" ] } } }
