{
  "FlowMetadata": {
    "ObservationPoint": [ "wg0" ]
  }
}
