"""Files that accompany a source: keywords, credits, ratings and questions."""
