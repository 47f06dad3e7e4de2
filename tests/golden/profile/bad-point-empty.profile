{
  "FlowMetadata": {
    "ObservationPoints": [ "wg0", "" ]
  }
}
