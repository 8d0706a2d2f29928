"""Sources -> valid movies -> tokenised documents, labels and a profile of the source."""
