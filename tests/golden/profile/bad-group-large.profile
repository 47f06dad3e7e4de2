{
  "FlowMetadata": {
    "NflogGroups": [ 5, 65536 ]
  }
}
