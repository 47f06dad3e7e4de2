{
  "FlowMetadata": {
    "RingSize": 1
  }
}
