"""The simple distances that the paper compares LPIPS with, called like `LPIPS`."""

from __future__ import annotations

import abc
from typing import Any, Self

import keras
from keras import ops

from lpips_tf._backend.compilation import Compiled
from lpips_tf._backend.tensors import accurate_dtype, is_uint8, mean
from lpips_tf._support.arguments import check_choice
from lpips_tf._support.image_batches import (
    as_array,
    as_rgb,
    check_image_batch,
    check_same_shape,
)
from lpips_tf._support.invalid_images import nan_unless_valid
from lpips_tf._support.range_watch import RangeWatch
from lpips_tf._support.value_ranges import checked_range

COLORSPACES = ("RGB", "Lab")
WINDOW = 7  # pixels, of SSIM
# Linear RGB to CIE XYZ (IEC 61966-2-1), and XYZ of the white D65 for the 2° observer, with the
# digits that scikit-image has.
RGB_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
WHITE = (0.95047, 1.0, 1.08883)


class Baseline(abc.ABC):
    """A distance between images of one size, without weights.

    Args:
        colorspace: "RGB", or "Lab": CIELAB of sRGB images under D65.
        value_range: the (lowest, highest) value that float images span. Images of dtype uint8
            always span 0 to 255.
        name: name of the metric.

    Raises:
        ValueError: an unknown `colorspace` or an empty `value_range`.
    """

    min_size = 1

    def __init__(
        self,
        colorspace: str = "Lab",
        value_range: tuple[float, float] = (-1, 1),
        name: str | None = None,
    ) -> None:
        check_choice("colorspace", colorspace, COLORSPACES)
        self.colorspace = colorspace
        self.value_range = checked_range(value_range)
        self.name = name or type(self).__name__.lower()
        self._range_watch = RangeWatch(self.value_range)
        self._compiled_distance = Compiled(self._exact_distance, [], self.min_size)

    def __call__(self, in0: Any, in1: Any) -> Any:
        """The distance of each pair of images; symmetric, and exactly 0 for equal images.

        Args:
            in0, in1: images (N, H, W, 3), RGB, of the same shape; uint8, or floats in
                `value_range`. Grey ones (N, H, W, 1) count as three equal channels.

        Returns:
            Distances (N,) in float32.

        Raises:
            ValueError: no images, shapes that differ or are not (N, H, W, 3), sides that are too
                small, or a dtype that is neither uint8 nor floating.
        """
        in0, in1 = (as_rgb(as_array(images)) for images in (in0, in1))
        for name, images in (("in0", in0), ("in1", in1)):
            check_image_batch(name, images, type(self).__name__, self.min_size, self.value_range)
        check_same_shape(in0=in0, in1=in1)
        self._range_watch.look(stacklevel=2, in0=in0, in1=in1)
        return self._compiled_distance(in0, in1)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, for Keras to save."""
        return {
            "colorspace": self.colorspace,
            "value_range": self.value_range,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The metric that `get_config` describes."""
        return cls(**config)

    def _exact_distance(self, in0: Any, in1: Any) -> Any:
        # Processors round in the vectors' lanes and at their ends differently, so that the colours
        # of equal images may differ in the last bit.
        valid = nan_unless_valid(in0, self.value_range) * nan_unless_valid(in1, self.value_range)
        in0, in1 = self._unit(in0), self._unit(in1)
        equal = ops.all(in0 == in1, axis=(1, 2, 3))
        if self.colorspace == "Lab":
            in0, in1 = rgb_to_lab(in0) / 100, rgb_to_lab(in1) / 100
        distance = ops.cast(ops.where(equal, 0.0, self._distance(in0, in1)), "float32")
        return distance * ops.cast(valid, "float32")

    @abc.abstractmethod
    def _distance(self, x: Any, y: Any) -> Any:
        """The distances (N,) of images in RGB within [0, 1], or in Lab divided by 100."""

    def _unit(self, images: Any) -> Any:
        """Images in [0, 1]."""
        low, high = (0, 255) if is_uint8(images) else self.value_range
        return ops.divide(ops.subtract(ops.cast(images, accurate_dtype()), low), high - low)


@keras.saving.register_keras_serializable(package="lpips_tf")
class L2(Baseline):
    """Mean squared difference.

    In RGB it is that of images in [-1, 1]; in Lab it is ½·mean((Δ/100)²), as in the official
    `lpips.L2` and `lpips.l2`. Unlike the official code, it does not round floats to 8 bits before
    the conversion to Lab. The arguments are those of `Baseline`.
    """

    def _distance(self, x: Any, y: Any) -> Any:
        factor = 4 if self.colorspace == "RGB" else 0.5
        return factor * mean(ops.square(x - y), axis=(1, 2, 3))


@keras.saving.register_keras_serializable(package="lpips_tf")
class DSSIM(Baseline):
    """Structural dissimilarity, (1 - SSIM) / 2, in [0, 1].

    SSIM (Wang et al., "Image quality assessment: from error visibility to structural similarity",
    2004) as scikit-image's `structural_similarity` computes it by default: a uniform window of 7x7
    pixels, sample covariances, K1 = 0.01, K2 = 0.03, the mean over all windows within the image and
    over channels; the data range is 255 in RGB and 100 in Lab, as in the official `lpips.DSSIM`.
    Images have at least 7x7 pixels. The arguments are those of `Baseline`.
    """

    min_size = WINDOW

    def _distance(self, x: Any, y: Any) -> Any:
        # SSIM's two factors are 1 - a and 1 - c: a the squared difference of means, c the variance
        # of differences, each over its bound. Small distances then keep all their digits.
        mean_x, mean_y = _window_means(x), _window_means(y)
        means = ops.square(mean_x) + ops.square(mean_y) + 0.01**2
        variances = _variances(x) + _variances(y) + 0.03**2
        a = ops.square(mean_x - mean_y) / means
        c = _variances(x - y) / variances
        return mean(a + c - a * c, axis=(1, 2, 3)) / 2


def rgb_to_lab(images: Any) -> Any:
    """Converts sRGB images to CIELAB under D65, as scikit-image's `rgb2lab` does.

    Args:
        images: (…, 3) in [0, 1].

    Returns:
        Colours (…, 3), with L in [0, 100], a and b in about [-128, 128].
    """
    toe = images <= 0.04045
    # A power has no finite gradient at 0: what takes the other branch stays away from it.
    gamma = ops.power((ops.where(toe, 1.0, images) + 0.055) / 1.055, 2.4)
    red, green, blue = ops.unstack(ops.where(toe, images / 12.92, gamma), axis=-1)
    x, y, z = (
        _lab_curve((row[0] * red + row[1] * green + row[2] * blue) / white)
        for row, white in zip(RGB_TO_XYZ, WHITE, strict=True)
    )
    return ops.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def _lab_curve(values: Any) -> Any:
    dark = values <= 0.008856
    root = ops.power(ops.where(dark, 1.0, values), 1 / 3)
    return ops.where(dark, 7.787 * values + 16 / 116, root)


def _variances(images: Any) -> Any:
    """Sample variances of all windows."""
    count = WINDOW**2
    # Shifted images have the same variances, and near 0 these round less.
    images = images - mean(images, axis=(1, 2), keepdims=True)
    variances = _window_means(ops.square(images)) - ops.square(_window_means(images))
    return count / (count - 1) * variances


def _window_means(images: Any) -> Any:
    return ops.average_pool(images, WINDOW, strides=1, padding="valid", data_format="channels_last")
