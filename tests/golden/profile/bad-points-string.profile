{
  "FlowMetadata": {
    "ObservationPoints": "wg0"
  }
}
