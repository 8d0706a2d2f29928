"""Shared by all stages: contracts, base class of configs, compute, progress, retries, store."""
