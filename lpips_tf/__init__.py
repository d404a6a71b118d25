"""LPIPS, the perceptual distance between images, for TensorFlow and Keras."""

from lpips_tf import baselines, feature_cache, images, scores, training, weights
from lpips_tf.metric import LPIPS
from lpips_tf.pairwise import distance_matrix, mean_pairwise_distance
from lpips_tf.tiling import tiled_distance

__all__ = [
    "LPIPS",
    "baselines",
    "distance_matrix",
    "feature_cache",
    "images",
    "mean_pairwise_distance",
    "scores",
    "tiled_distance",
    "training",
    "weights",
]
__version__ = "0.1.0"
