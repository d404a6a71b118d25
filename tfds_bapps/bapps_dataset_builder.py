"""BAPPS: image patches, and which of them people find nearer to another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from tfds_bapps import tree
from tfds_bapps.patches import patch

_URL = "https://perceptual-similarity.s3.us-west-2.amazonaws.com/dataset/"
_ARCHIVES = {
    "2afc": {"train": "twoafc_train.tar.gz", "val": "twoafc_val.tar.gz"},
    "jnd": {"val": "jnd.tar.gz"},
}

_LICENSE = (
    "The authors name no license for the data. They publish it with their code, which is under the "
    "BSD 2-Clause License: https://github.com/richzhang/PerceptualSimilarity/blob/master/LICENSE"
)

_FEATURES = {
    "id": tfds.features.Text(doc="The files' name without suffix, such as 000000."),
    "ref": patch("The reference."),
    "p0": patch("One distortion of the reference; in JND one of the two images."),
    "p1": patch("Another; in JND the other image."),
    "judge": tfds.features.Scalar(
        np.float32, doc="The fraction of people who found p1 nearer to the reference than p0."
    ),
    "same": tfds.features.Scalar(
        np.float32, doc="The fraction of people who saw no difference between p0 and p1."
    ),
}


class Builder(tfds.core.GeneratorBasedBuilder):
    """The Berkeley-Adobe Perceptual Patch Similarity data set (Zhang et al., CVPR 2018)."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}  # noqa: RUF012 (TFDS' own convention)
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Nothing has to be downloaded by hand: without a manual_dir the archives are fetched. In "
        "one that holds what they unpack to (2afc/val/cnn/ref/000000.png and so on) the training "
        "or the validation data may be missing; its splits are then missing too."
    )
    BUILDER_CONFIGS = [  # noqa: RUF012
        tfds.core.BuilderConfig(
            name="2afc",
            description="Two-alternative forced choice: which of two distortions is nearer.",
        ),
        tfds.core.BuilderConfig(
            name="jnd", description="Just noticeable differences: do two images look the same."
        ),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        mode = tree.MODES[self.builder_config.name]
        names = ("id", *mode.images, mode.answer)
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({name: _FEATURES[name] for name in names}),
            supervised_keys=(mode.images, mode.answer),
            homepage="https://richzhang.github.io/PerceptualSimilarity/",
            license=_LICENSE,
            disable_shuffling=True,  # the authors' order
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        mode = self.builder_config.name
        groups = self._manual_groups(dl_manager)
        if not groups:
            extracted = dl_manager.download_and_extract(
                {group: _URL + archive for group, archive in _ARCHIVES[mode].items()}
            )
            # The archive of JND has its folder jnd within, those of 2AFC have none.
            groups = {
                group: folder / "jnd" / group if mode == "jnd" else folder / group
                for group, folder in extracted.items()
            }
        return {
            f"{group}_{name}": self._generate_examples(folder / name)
            for group, folder in groups.items()
            for name in tree.MODES[mode].datasets[group]
        }

    def _manual_groups(self, dl_manager: tfds.download.DownloadManager) -> dict[str, epath.Path]:
        """Returns the folders "train" and "val" that `manual_dir` has.

        Raises:
            ValueError: it has neither, although `manual_dir` was named.
        """
        mode = self.builder_config.name
        default = dl_manager.download_dir / "manual"
        try:
            manual = dl_manager.manual_dir
        except AssertionError:  # it is missing or empty
            manual = getattr(dl_manager, "_manual_dir", None) or default
        folders = {group: manual / mode / group for group in tree.MODES[mode].datasets}
        found = {group: folder for group, folder in folders.items() if folder.is_dir()}
        if not found and (manual != default or (manual / mode).is_dir()):
            raise ValueError(
                f"Expected {' or '.join(map(str, folders.values()))}, as the authors' archives "
                f"unpack to. Received: manual_dir={manual} without"
            )
        return found

    def _generate_examples(self, folder: epath.Path) -> Iterator[tuple[int, dict[str, Any]]]:
        mode = self.builder_config.name
        for index, example in enumerate(tree.examples(folder, mode)):
            images = {name: tree.read_patch(example[name]) for name in tree.MODES[mode].images}
            yield index, example | images
