{
  "FlowMetadata": {
    "ObservationPoints": [ "eth0/1" ]
  }
}
