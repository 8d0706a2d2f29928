"""The artifacts root: content-addressed store of stage outputs, local or on an object store."""
