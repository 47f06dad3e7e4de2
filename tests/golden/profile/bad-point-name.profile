{ "FlowMetadata": { "ObservationPoints": [ { "Selection": [ "Count/1/100" ] } ] } }
