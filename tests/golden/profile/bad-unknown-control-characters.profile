{
  "FlowMetadata": {
    "Inter\u001bval": 1
  }
}
