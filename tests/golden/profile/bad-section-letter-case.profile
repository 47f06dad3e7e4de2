{
  "flowMetadata": {}
}
