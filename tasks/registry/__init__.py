"""Published versions: champion, promotion gate, release, refresh and retention."""
