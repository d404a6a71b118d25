"""Reads what a command is given: image files, folders, masks, videos."""
