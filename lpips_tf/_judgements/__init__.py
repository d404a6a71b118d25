"""Parts of `lpips_tf.evaluation`: whether one metric agrees better with people than another."""
