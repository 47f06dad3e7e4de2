{
  "FlowMetadata": {
    'Direction': 'Both'
  }
}
