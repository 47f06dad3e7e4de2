{
  "FlowMetadata": {
    "DeniedPrefixes": [ "acl:=allow" ]
  }
}
