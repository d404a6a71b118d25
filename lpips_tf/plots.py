"""Figures of where images differ, with Matplotlib."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image

from lpips_tf._support.arguments import check_flag, is_array, shown
from lpips_tf._support.floats import short_float
from lpips_tf._support.image_batches import as_rgb
from lpips_tf._support.value_ranges import Range
from lpips_tf.metric import LPIPS, Explanation, check_metric

COLORS = "magma"  # perceptually uniform, also in grey and to the colour-blind
OPACITY = 0.75  # of a map over its image
WIDTH, HIGHEST, NARROWEST = 2.8, 8.4, 1.2  # of an image in inches
CAPTION = 0.5  # room for titles
DOTS = 130  # per inch
MOST_DOTS = 60_000  # that Matplotlib draws on a side, about
LETTERS = 12  # of a title, per inch


@dataclasses.dataclass(frozen=True)
class Comparison:
    """An image, its distance from a reference, and where that comes from."""

    name: str
    image: npt.NDArray[np.uint8]  # (H, W, 3)
    distance: float
    map: npt.NDArray[Any]  # (H, W)
    layers: list[tuple[str, float, npt.NDArray[Any]]]  # name, share of the distance, map (H, W)


def heatmap(
    metric: LPIPS,
    reference: Any,
    images: Any,
    layers: bool = False,
    names: Sequence[object] | None = None,
) -> Figure:
    """Draws where images differ from a reference.

    Each image has a row: the reference, the image, and the map over it.

    Args:
        metric: any `LPIPS`, with maps or without.
        reference: an image (H, W, 3), uint8 or floats in the metric's `value_range`.
        images: one image, or a sequence of images, of that shape.
        layers: also draw each layer's map, with its share of the distance.
        names: titles of the images; by default their positions.

    Returns:
        A `matplotlib.figure.Figure`, which notebooks show and `figure.savefig` writes. All maps
        have one scale, and those of layers another.

    Raises:
        ValueError: `metric` is not an `LPIPS`, the numbers of names and images differ, there are
            more images than a figure can have, or a call of the metric refuses them.

    Examples:
        >>> lpips_tf.plots.heatmap(metric, reference, [noisy, blurred]).savefig("map.png")
    """
    check_metric(metric)
    check_flag("layers", layers)
    if not (is_array(images) or isinstance(images, (list, tuple))):
        raise ValueError(f"Expected images as arrays (H, W, 3). Received: {shown(images)}")
    images = [images] if getattr(images, "ndim", 4) == 3 else list(images)
    if isinstance(names, str):
        raise ValueError(f"Expected a sequence of names. Received: {names!r}")
    titles = [str(name) for name in (range(len(images)) if names is None else names)]
    if len(titles) != len(images) or not images:
        raise ValueError(
            f"Expected at least one image, and a name for each. "
            f"Received: {len(images)} images and {len(titles)} names"
        )
    compared: list[Comparison] = []
    for title, image in zip(titles, images, strict=True):
        if getattr(image, "ndim", 0) != 3 or getattr(reference, "ndim", 0) != 3:
            raise ValueError(
                "Expected images of shape (H, W, 3). "
                f"Received: reference={shown(reference)} and {shown(image)}"
            )
        found = metric.explain(reference[None], image[None])
        drawn = as_uint8(image, metric.value_range)
        compared += comparisons(metric, found, [drawn], [title])
    return figure(as_uint8(reference, metric.value_range), compared, layers)


def comparisons(
    metric: LPIPS,
    explanation: Explanation,
    images: Iterable[npt.NDArray[np.uint8]],
    names: Iterable[str],
) -> list[Comparison]:
    """The results of `metric.explain` for a batch of images (H, W, 3) uint8, one by one."""
    layer_names = metric.backbone.output_names
    distances = _array(explanation.distance)
    shares = [_array(layer) for layer in explanation.layers]
    maps = _array(explanation.map)[..., 0]
    layer_maps = [_array(layer)[..., 0] for layer in explanation.layer_maps]
    found = []
    for i, (image, name) in enumerate(zip(images, names, strict=True)):
        distance = short_float(distances[i])
        layers = [
            (layer, float(share[i]) / distance if distance else 0.0, layer_map[i])
            for layer, share, layer_map in zip(layer_names, shares, layer_maps, strict=True)
        ]
        found.append(Comparison(name, image, distance, maps[i], layers))
    return found


def overlay(image: npt.NDArray[np.uint8], values: npt.NDArray[Any], largest: float) -> Image.Image:
    """A map (H, W) over its image (H, W, 3) uint8 in grey.

    The map is dark where there is no difference, and bright at `largest`.
    """
    colors = matplotlib.colormaps[COLORS](values / (largest or 1), bytes=True)[..., :3]
    grey = Image.fromarray(image).convert("L").convert("RGB")
    return Image.blend(grey, Image.fromarray(colors), OPACITY)


def figure(
    reference: npt.NDArray[np.uint8], compared: Sequence[Comparison], layers: bool
) -> Figure:
    """The figure that `heatmap` returns, for images (H, W, 3) uint8 that are compared already."""
    count = len(compared[0].layers) if layers else 0
    height, width = reference.shape[:2]
    tall = min(max(WIDTH * height / width, NARROWEST / 2), HIGHEST)
    wide = min(max(tall * width / height, NARROWEST), WIDTH)
    size = ((3 + count) * wide + 1 + bool(count), len(compared) * (tall + CAPTION))
    if size[1] * DOTS > MOST_DOTS:
        most = int(MOST_DOTS / DOTS / (tall + CAPTION))
        raise ValueError(
            f"Expected at most {most} images of this shape for a heat map. "
            f"Received: {len(compared)}"
        )
    drawn = Figure(size, dpi=DOTS, layout="constrained")
    grid = drawn.subplots(len(compared), 3 + count, squeeze=False)
    largest = _largest(c.map for c in compared)
    largest_layer = _largest(layer for c in compared for *_, layer in c.layers)
    for axes, found in zip(grid, compared, strict=True):
        _draw(axes[0], reference, "reference")
        _draw(axes[1], found.image, shortened(found.name, int(LETTERS * wide)))
        shown_map = _draw_map(axes[2], found, found.map, largest)
        _title(axes[2], f"LPIPS {found.distance:.4f}")
        drawn.colorbar(shown_map, ax=axes[2])
        for layer_axes, (name, share, values) in zip(axes[3:], found.layers, strict=False):
            shown_map = _draw_map(layer_axes, found, values, largest_layer)
            _title(layer_axes, f"{name}: {share:.0%}")
        if count:
            drawn.colorbar(shown_map, ax=axes[-1])
    return drawn


def shortened(name: str, length: int) -> str:
    """A file name of at most `length` letters, which loses its middle."""
    name = os.fsencode(name).decode("utf-8", "replace")  # names may be no text
    name = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
    half = (length - 1) // 2
    return name if len(name) <= length else f"{name[:half]}…{name[-half:]}"


def as_uint8(image: Any, value_range: Range) -> npt.NDArray[np.uint8]:
    """The image (H, W, 3), or a grey one (H, W, 1), as it is drawn, (H, W, 3)."""
    array: npt.NDArray[Any] = as_rgb(_array(image)[None])[0]
    if array.dtype == np.uint8:
        return array
    low, high = value_range
    shares = np.clip(np.nan_to_num((array - low) / (high - low)), 0, 1)
    drawn: npt.NDArray[np.uint8] = np.round(255 * shares).astype(np.uint8)
    return drawn


def _array(tensor: Any) -> npt.NDArray[Any]:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def _largest(maps: Iterable[npt.NDArray[Any]]) -> float:
    """The largest number in maps, without NaN, which an image without a distance has."""
    return max((float(values.max()) for values in maps if np.isfinite(values).all()), default=0.0)


def _draw(axes: Any, image: npt.NDArray[np.uint8], title: str) -> None:
    axes.set_axis_off()
    axes.imshow(image)
    _title(axes, title)


def _draw_map(axes: Any, compared: Comparison, values: npt.NDArray[Any], largest: float) -> Any:
    axes.set_axis_off()
    axes.imshow(Image.fromarray(compared.image).convert("L"), cmap="gray", vmin=0, vmax=255)
    return axes.imshow(values, cmap=COLORS, vmin=0, vmax=largest or 1, alpha=OPACITY)


def _title(axes: Any, text: str) -> None:
    axes.set_title(text, fontsize=9, parse_math=False)  # a file name may hold dollars
