{
  "ProfileName": "Universe",
  "Interval": "not ours: it stands outside",
  "Certificate": { "Direction": [ 1, 2, { "FlowMetadata": "neither is this one" } ] },
  "Interval": 1e3,
  "Serial": 123456789012345678901234567890,
  "Text": "zero \u0000 and \ud83d\ude00",
  "FlowMetadata": {
    "Enabled": true,
    "Interval": 0,
    "Direction": "SendingToPeer",
    "IpFixCollectors": [ "Udp/[fd00::1]:2055", "udp/collector.example" ]
  },
  "PublicName": null
}
