"""Documents and labels -> genre classifier, its predictions and its scores."""
