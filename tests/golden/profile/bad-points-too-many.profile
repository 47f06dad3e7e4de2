{
  "FlowMetadata": {
    "ObservationPoints": [ "wg0", "wg1", "wg2", "wg3", "wg4", "wg5", "wg6", "wg7", "wg8", "wg9", "wg10", "wg11", "wg12", "wg13", "wg14", "wg15", "wg16", "wg17", "wg18", "wg19", "wg20", "wg21", "wg22", "wg23", "wg24", "wg25", "wg26", "wg27", "wg28", "wg29", "wg30", "wg31", "wg32", "wg33", "wg34", "wg35", "wg36", "wg37", "wg38", "wg39", "wg40", "wg41", "wg42", "wg43", "wg44", "wg45", "wg46", "wg47", "wg48", "wg49", "wg50", "wg51", "wg52", "wg53", "wg54", "wg55", "wg56", "wg57", "wg58", "wg59", "wg60", "wg61", "wg62", "wg63", "wg64" ]
  }
}
