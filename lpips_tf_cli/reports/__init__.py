"""Pages and sheets of images."""
