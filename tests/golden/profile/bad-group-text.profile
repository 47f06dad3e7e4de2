{
  "FlowMetadata": {
    "NflogGroups": "5"
  }
}
