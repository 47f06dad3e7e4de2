{ "FlowMetadata": { "Selection": [ "Filter/tcp and and" ] } }
