{
  "FlowMetadata": {
    "ObservationPoints": [ "wg0", "wg0" ]
  }
}
