{
  "FlowMetadata": {
    "ObservationPoints": [ "sixteen-octets-x" ]
  }
}
