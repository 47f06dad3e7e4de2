{
  "FlowMetadata": {
    "ObservationDomainId": 4294967296
  }
}
