"""Shared parts of the scripts: both implementations, synthetic data, timing, tables."""
