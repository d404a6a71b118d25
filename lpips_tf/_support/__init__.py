"""Validation of arguments and images, files written whole, training on several hosts."""
