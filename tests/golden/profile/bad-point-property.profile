{ "FlowMetadata": { "ObservationPoints": [ { "Name": "wg0", "Domain": 5 } ] } }
