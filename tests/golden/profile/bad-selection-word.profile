{ "FlowMetadata": { "Selection": [ "Count/1/100", "Every/100" ] } }
