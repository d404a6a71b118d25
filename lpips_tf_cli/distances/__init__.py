"""Distances between image files."""
