[ { "FlowMetadata": {} } ]
