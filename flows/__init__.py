"""The workflow as a person runs it: which task, in which order, with which configuration."""
