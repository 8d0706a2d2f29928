"""The artifacts root: a content-addressed store of stage outputs, local or shared by URL."""
