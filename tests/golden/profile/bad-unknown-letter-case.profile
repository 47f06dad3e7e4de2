{
  "FlowMetadata": {
    "ipfixCollectors": []
  }
}
