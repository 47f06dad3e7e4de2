{
  "FlowMetadata": {
    "NflogGroups": [ 5, 5 ]
  }
}
