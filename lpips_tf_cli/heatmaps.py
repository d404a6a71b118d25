"""Pictures of where images differ."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lpips_tf_cli.program import shortened
from lpips_tf_cli.startup import quietly

if TYPE_CHECKING:
    from lpips_tf import LPIPS
    from lpips_tf_cli.image_files import ImageFiles

COLORS = "magma"  # steps that look even, in grey and to the colour-blind too
OPACITY = 0.75  # of a map over its image
WIDTH, HIGHEST, NARROWEST = 2.8, 8.4, 1.2  # of a picture in inches
CAPTION = 0.5  # room for titles
DOTS = 130  # per inch
MOST_DOTS = 60_000  # that Matplotlib draws on a side, about
LETTERS = 12  # of a title, per inch


@dataclasses.dataclass(frozen=True)
class Comparison:
    """An image, its distance from a reference, and where that comes from."""

    name: str
    image: np.ndarray  # (H, W, 3) uint8
    distance: float
    map: np.ndarray  # (H, W)
    layers: list[tuple[str, float, np.ndarray]]  # name, share of the distance, map (H, W)


def compare(
    metric: LPIPS, spatial: LPIPS, name: str, reference: np.ndarray, image: np.ndarray
) -> Comparison:
    """Compares by a metric, and by the same with `spatial=True`."""
    pair = reference[None], image[None]
    total, parts = metric(*pair, return_per_layer=True)
    values, maps = spatial(*pair, return_per_layer=True)
    distance = float(total[0])
    layers = [
        (layer, float(part[0]) / distance if distance else 0.0, np.asarray(layer_map)[0, ..., 0])
        for layer, part, layer_map in zip(metric.backbone.output_names, parts, maps, strict=True)
    ]
    return Comparison(name, image, distance, np.asarray(values)[0, ..., 0], layers)


def of_files(
    metric: LPIPS, spatial: LPIPS, reference: Path, images: Sequence[Path], files: ImageFiles
) -> tuple[np.ndarray, list[Comparison]]:
    """The reference, and each image compared with it."""
    loaded = files.load(reference)
    return loaded, [
        compare(metric, spatial, path.name, loaded, files.load(path)) for path in images
    ]


def over(image: np.ndarray, values: np.ndarray, largest: float) -> Image.Image:
    """A map over its image in grey: dark where there is no difference, bright at `largest`."""
    import matplotlib

    colors = matplotlib.colormaps[COLORS](values / (largest or 1), bytes=True)[..., :3]
    grey = Image.fromarray(image).convert("L").convert("RGB")
    return Image.blend(grey, Image.fromarray(colors), OPACITY)


def save(
    path: Path, reference: np.ndarray, comparisons: Sequence[Comparison], with_layers: bool
) -> None:
    """Draws a row for each image: the reference, the image, the map over it, and the layers' maps.

    All maps have one scale, and those of layers another.

    Raises:
        ValueError: more rows than a picture can have.
    """
    with quietly(), warnings.catch_warnings():  # fonts that lack a file name's characters
        warnings.simplefilter("ignore")
        figure = _figure(reference, comparisons, with_layers)
        figure.savefig(path, dpi=DOTS)


def _figure(reference: np.ndarray, comparisons: Sequence[Comparison], with_layers: bool) -> Any:
    from matplotlib.figure import Figure

    count = len(comparisons[0].layers) if with_layers else 0
    height, width = reference.shape[:2]
    tall = min(max(WIDTH * height / width, NARROWEST / 2), HIGHEST)
    wide = min(max(tall * width / height, NARROWEST), WIDTH)
    size = ((3 + count) * wide + 1 + bool(count), len(comparisons) * (tall + CAPTION))
    if size[1] * DOTS > MOST_DOTS:
        most = int(MOST_DOTS / DOTS / (tall + CAPTION))
        raise ValueError(
            f"Expected at most {most} images of this shape for a heat map. "
            f"Received: {len(comparisons)}"
        )
    figure = Figure(size, layout="constrained")
    grid = figure.subplots(len(comparisons), 3 + count, squeeze=False)
    largest = _largest(c.map for c in comparisons)
    largest_layer = _largest(layer for c in comparisons for *_, layer in c.layers)
    for axes, compared in zip(grid, comparisons, strict=True):
        _draw(axes[0], reference, "reference")
        _draw(axes[1], compared.image, shortened(compared.name, int(LETTERS * wide)))
        shown = _draw_map(axes[2], compared, compared.map, largest)
        _title(axes[2], f"LPIPS {compared.distance:.4f}")
        figure.colorbar(shown, ax=axes[2])
        for layer_axes, (name, share, values) in zip(axes[3:], compared.layers, strict=False):
            shown = _draw_map(layer_axes, compared, values, largest_layer)
            _title(layer_axes, f"{name}: {share:.0%}")
        if count:
            figure.colorbar(shown, ax=axes[-1])
    return figure


def _largest(maps) -> float:
    return max(float(values.max()) for values in maps)


def _draw(axes: Any, image: np.ndarray, title: str) -> None:
    axes.set_axis_off()
    axes.imshow(image)
    _title(axes, title)


def _draw_map(axes: Any, compared: Comparison, values: np.ndarray, largest: float) -> Any:
    axes.set_axis_off()
    axes.imshow(Image.fromarray(compared.image).convert("L"), cmap="gray", vmin=0, vmax=255)
    return axes.imshow(values, cmap=COLORS, vmin=0, vmax=largest or 1, alpha=OPACITY)


def _title(axes: Any, text: str) -> None:
    axes.set_title(text, fontsize=9, parse_math=False)  # a file name may hold dollars
