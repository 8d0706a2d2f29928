"""Sources -> valid movies -> tokenised documents in splits, labels and drift."""
