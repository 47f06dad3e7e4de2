{ "Näme": "ä€😀", "FlowMetadata": { "Interval": 1 } }
