{
  "FlowMetadata": {
    "Interval": 60000 /* every minute */
  }
}
