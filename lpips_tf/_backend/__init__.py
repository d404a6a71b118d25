"""What differs between the Keras backends, and between eager and traced code."""
