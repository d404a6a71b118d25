"""The report of `video`: the curve over time, and the worst frames with their maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import lpips_tf
from lpips_tf import plots
from lpips_tf._support.sizes import shown_size
from lpips_tf_cli.distances.summaries import mean_or_nan
from lpips_tf_cli.distances.videos import ComparedVideos
from lpips_tf_cli.reading.videos import Video
from lpips_tf_cli.reports import pages
from lpips_tf_cli.reports.drawing import Drawing, Drawn
from lpips_tf_cli.reports.folder_report import metric_figures, spread_figures
from lpips_tf_cli.reports.pages import Value


def write_video_report(
    path: Path, metric: lpips_tf.LPIPS, videos: Sequence[Video], found: ComparedVideos
) -> None:
    """Writes the page of `video`, with the frames that were kept as the worst."""
    distances = found.distances
    with Drawing(len(found.worst), images=3) as drawing:
        drawn = list(_drawn(drawing, metric, videos, found))
        page = pages.Page(
            title=f"LPIPS of {videos[0].path} and {videos[1].path}",
            notes=found.errors,
            figures=_figures(found) + metric_figures(metric),
            distances=distances,
            heading="Worst frames",
            columns=("distance", "temporal"),
            rows=(row.row() for row in drawn),
            sorted_by="distance",
            curve=distances,
            step=found.every,
        )
        pages.write_page(path, page)


def _drawn(
    drawing: Drawing, metric: lpips_tf.LPIPS, videos: Sequence[Video], found: ComparedVideos
) -> list[Drawn]:
    temporals = [math.nan, *found.found.temporal.tolist()]
    captions = [str(v.path) for v in videos]
    rows = []
    for frame in found.worst:
        explanation = metric.explain(frame.reference[None], frame.image[None])
        (compared,) = plots.comparisons(metric, explanation, [frame.image], [captions[1]])
        images = list(zip(captions, (frame.reference, frame.image), strict=True))
        temporal = temporals[frame.number // found.every]
        values = [
            Value(frame.distance, f"{frame.distance:.5f}"),
            Value(temporal, "–" if math.isnan(temporal) else f"{temporal:.5f}"),
        ]
        name = f"frame {frame.number}"
        rows.append(drawing.draw_row(name, values, images, [(captions[1], compared.map)]))
    return rows


def _figures(found: ComparedVideos) -> list[tuple[str, str]]:
    """The summary. Frames are not independent, so it has no standard error."""
    frames = [("frames", f"{len(found.distances):,}"), ("mean", f"{found.found.mean:.5f}")]
    temporal = [("tLPIPS", f"{found.found.tlpips:.5f}")]
    others = [(f"mean {name}", f"{mean_or_nan(v):.5f}") for name, v in found.others.items()]
    step = [("every", str(found.every))] if found.every > 1 else []
    resized = [("resized to", shown_size(found.resized))] if found.resized else []
    return [*frames, *spread_figures(found.distances), *temporal, *others, *step, *resized]
