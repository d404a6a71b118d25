"""Training in a folder: data, epochs, checkpoints, curves."""
