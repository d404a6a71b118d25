"""Draws distances: HTML pages, heat maps, contact sheets."""
