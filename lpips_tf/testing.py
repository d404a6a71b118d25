"""Assertions on images for tests: of a renderer, a web page, a model's output.

The pytest fixture `lpips_reference`, which comes with this package, compares with stored images.
"""

from __future__ import annotations

import functools
import math
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from PIL import Image

from lpips_tf import images
from lpips_tf._support.arguments import is_number, shown
from lpips_tf._support.image_batches import as_rgb
from lpips_tf._support.sizes import shown_size
from lpips_tf._support.whole_files import written_whole
from lpips_tf.metric import LPIPS, check_metric


def assert_similar(
    actual: Any,
    expected: Any,
    at_most: float = 0.05,
    metric: LPIPS | None = None,
    heatmap: str | os.PathLike[str] | None = None,
) -> float:
    """Asserts that two images look alike: that their LPIPS is at most a threshold.

    Args:
        actual: an image: an array (H, W, 3), uint8 or floats in the metric's `value_range`; a path;
            the bytes of a file, such as a screenshot; or a Pillow image.
        expected: the image that it should look like, in any of these forms.
        at_most: the threshold. The documentation's page "A gate in CI" lists the distances of
            common changes.
        metric: an `LPIPS`; by default one with AlexNet, which is made once.
        heatmap: a file (.png, .pdf or .svg) for a heat map, written only if the assertion fails.

    Returns:
        The distance.

    Raises:
        AssertionError: the distance is larger, or NaN, or the sizes differ. The message has the
            distance, the threshold, and where the images differ most.
        OSError: a file is no image.
        ValueError: something that is not an image, or a threshold that is not a number of at least
            0.

    Examples:
        >>> lpips_tf.testing.assert_similar(render(), "expected.png", heatmap="difference.png")
    """
    __tracebackhide__ = True  # pytest then shows the line that calls this
    if not is_number(at_most) or not (math.isfinite(at_most) and at_most >= 0):
        raise ValueError(f"Expected at_most as a number of at least 0. Received: {shown(at_most)}")
    metric = default_metric() if metric is None else metric
    check_metric(metric)
    pair = as_array("actual", actual), as_array("expected", expected)
    if pair[0].shape != pair[1].shape:
        sizes = [shown_size(image.shape) for image in pair]
        raise AssertionError(
            "Expected images of one size. "
            f"Received: actual of {sizes[0]} pixels and expected of {sizes[1]}"
        )
    found = metric.explain(pair[1][None], pair[0][None])
    distance = float(keras.ops.convert_to_numpy(found.distance)[0])
    if distance <= at_most:
        return distance
    where = _where(keras.ops.convert_to_numpy(found.map)[0, ..., 0])
    drawn = "" if heatmap is None else _drawn(Path(heatmap), metric, pair[1], pair[0])
    raise AssertionError(
        f"Expected images at an LPIPS of at most {at_most:g}. "
        f"Received: {distance:.4f}{where}{drawn}"
    )


@functools.cache
def default_metric() -> LPIPS:
    """The metric of comparisons without one."""
    return LPIPS()


def as_array(name: str, image: Any) -> npt.NDArray[Any]:
    """The image, as `assert_similar` takes it, or a grey one (H, W, 1), as an array (H, W, 3).

    Raises:
        OSError: a file is no image.
        ValueError: it is something else.
    """
    if isinstance(image, (str, os.PathLike)):
        return images.load(image)
    if isinstance(image, (bytes, bytearray)):
        return images.decode(bytes(image), name)
    if isinstance(image, Image.Image):
        return images.from_pillow(image, name)
    if getattr(image, "ndim", None) != 3 or image.shape[-1] not in (1, 3):
        raise ValueError(
            f"Expected {name} as an image: an array (H, W, 3), a path, bytes or a Pillow image. "
            f"Received: {shown(image)}"
        )
    return np.asarray(as_rgb(keras.ops.convert_to_numpy(image)[None])[0])


def _where(values: npt.NDArray[Any]) -> str:
    """The part of the map (H, W) whose values are at least half of the largest."""
    if not np.isfinite(values).all():
        return ", as an image has NaN or infinity"
    rows, columns = np.nonzero(values >= values.max() / 2)
    return (
        f". They differ most in columns {columns.min()} to {columns.max()} "
        f"and rows {rows.min()} to {rows.max()}"
    )


def _drawn(path: Path, metric: LPIPS, expected: npt.NDArray[Any], actual: npt.NDArray[Any]) -> str:
    """Draws the heat map; a failure to do so must not hide that of the test."""
    from lpips_tf import plots  # loads Matplotlib

    try:
        with written_whole(path) as temporary:
            figure = plots.heatmap(metric, expected, actual, names=["actual"])
            figure.savefig(temporary, format=path.suffix.removeprefix(".") or "png")
    except (OSError, ValueError) as error:
        return f". The heat map could not be drawn: {error}"
    return f". See {path}"
