"""Differences between the Keras backends, and between eager and traced code."""
