{
  "Flow\u004detadata": {
    "\u0049nterval": 60000,
    "Direction": "\u0042oth"
  }
}
