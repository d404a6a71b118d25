"""Two other measures of how much images differ: PSNR and SSIM.

Both are scikit-image's, which computes them in float64; TensorFlow's are in float32.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from skimage import metrics

Image = npt.NDArray[np.uint8]


def psnr(reference: Image, image: Image) -> float:
    """The peak signal-to-noise ratio of images (H, W, 3), over all channels, in dB.

    Infinity for equal images.
    """
    with np.errstate(divide="ignore"):
        return float(metrics.peak_signal_noise_ratio(reference, image, data_range=255))


def ssim(reference: Image, image: Image) -> float:
    """The mean structural similarity of images (H, W, 3).

    As Wang et al. 2004 define it: Gaussian windows of 11x11 pixels with σ = 1.5, the covariance
    over them not corrected, K = (0.01, 0.03), windows within the image only. It is computed for
    each of red, green and blue, and averaged.
    """
    found = metrics.structural_similarity(
        reference,
        image,
        channel_axis=-1,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(found)


FIGURES: dict[str, Callable[[Image, Image], float]] = {"psnr": psnr, "ssim": ssim}
