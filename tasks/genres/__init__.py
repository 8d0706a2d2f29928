"""Document vectors and labels -> genre classifier, baselines and their scores."""
