"""Parts of `lpips_tf.neighbors`: embeddings, their sketches, FAISS' indexes, files, groups."""
