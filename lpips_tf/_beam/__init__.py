"""Parts of `lpips_tf.beam`: reads the images that elements name, and computes batches."""
