"""Documents -> Doc2Vec -> document vectors."""
