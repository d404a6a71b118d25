"""BAPPS, the Berkeley-Adobe Perceptual Patch Similarity data set, for TensorFlow Datasets.

Importing this package registers `tfds.load("bapps/2afc")` and `tfds.load("bapps/jnd")`.
"""

try:
    from tfds_bapps.bapps_dataset_builder import Builder
except ModuleNotFoundError as error:
    if error.name != "tensorflow_datasets":
        raise
    raise ModuleNotFoundError(
        "tfds_bapps needs tensorflow_datasets, which is not installed: "
        'pip install "lpips-tf[bapps]"',
        name=error.name,
    ) from error
from tfds_bapps.manifests import load_manifest
from tfds_bapps.reading import check_images, load_paths, load_tree, read_images
from tfds_bapps.tree import splits

__all__ = [
    "Builder",
    "check_images",
    "load_manifest",
    "load_paths",
    "load_tree",
    "read_images",
    "splits",
]
