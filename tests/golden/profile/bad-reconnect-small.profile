{ "FlowMetadata": { "ReconnectInterval": 999 } }
