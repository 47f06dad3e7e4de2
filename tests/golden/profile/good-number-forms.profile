{
  "FlowMetadata": {
    "Interval": 6e4,
    "IdleTimeout": 1.5E+4,
    "TcpLinger": -0,
    "MaxFlows": 1024.0
  }
}
