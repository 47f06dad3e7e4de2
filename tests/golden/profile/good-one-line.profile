{"FlowMetadata":{"IpFixCollectors":["Udp/192.0.2.7:9995"],"Interval":3600000}}
