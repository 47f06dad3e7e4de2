{
  "FlowMetadata": {
    "Enabled": true,
    "IpFixCollectors": [ "Udp/192.0.2.1", "File/flows.ipfix" ],
    "Direction": "ReceivedFromPeer",
    "Interval": 120000,
    "ObservationPoints": [ "wg0", "tun-office" ],
    "IdleTimeout": 30000,
    "TcpLinger": 500,
    "MaxFlows": 65536,
    "NflogGroups": [ 5, 65535 ],
    "DeniedPrefixes": [ "NETBIRD-DROP =acl", "posture:=trust", "rejected" ],
    "TraceRules": true,
    "DropReasons": true,
    "PeerCheck": true,
    "MaxDeniedFlows": 4096,
    "EnterpriseNumber": 56506,
    "DscpKey": true,
    "TemplateRefresh": 600000,
    "TemplateRefreshMessages": 20,
    "OptionsRefresh": 300000,
    "MaxMessageSize": 1280,
    "ObservationDomainId": 4294967295,
    "RingSize": 8388608,
    "SnapLength": 128
  }
}
