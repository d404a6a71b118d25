"""Training runs: data, epochs, checkpoints, learning curves."""
