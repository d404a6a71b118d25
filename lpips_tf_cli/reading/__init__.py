"""Reads a command's inputs: image files, folders, masks, videos."""
