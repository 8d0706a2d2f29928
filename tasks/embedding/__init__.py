"""Documents -> Doc2Vec model -> document vectors."""
