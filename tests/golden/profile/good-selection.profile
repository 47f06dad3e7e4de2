{
  "FlowMetadata": {
    "IpFixCollectors": [ "Udp/192.0.2.1" ],
    "Selection": [ "Filter/tcp or udp", "Count/1/100" ],
    "ObservationPoints": [
      "wg0",
      { "Name": "wg1", "DomainId": 7, "Selection": [ "Random/2/10", "Probability/0.5", "Time/20/1000" ] },
      { "Name": "wg2", "Selection": [] },
      { "Name": "wg3", "DomainId": 9 }
    ]
  }
}
