"""The command `evaluate`: scores a metric on BAPPS."""

from __future__ import annotations

import dataclasses
import json as json_module
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from lpips_tf_cli.console import outputs
from lpips_tf_cli.console.imports import extra
from lpips_tf_cli.console.metric_options import (
    BackboneWeights,
    HeadWeights,
    MetricOptions,
    Net,
    Precision,
    Version,
)
from lpips_tf_cli.console.options import (
    BappsDir,
    DataDir,
    Report,
    check_one_place,
    checked_datasets,
)

if TYPE_CHECKING:
    from lpips_tf.evaluation import Columns
    from lpips_tf_cli.bapps.results import Result


def evaluate(
    context: typer.Context,
    mode: Annotated[
        Literal["2afc", "jnd"],
        typer.Option(
            help="2afc: does it choose the image that people find nearer. jnd: does it tell pairs "
            "that people take for the same."
        ),
    ] = "2afc",
    datasets: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DATASET...",
            help="Data sets such as val/cnn; by default all for validation.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        Literal["lpips", "baseline", "l2", "dssim"],
        typer.Option(help="baseline is the network without its calibrated heads."),
    ] = "lpips",
    net: Net = "alex",
    version: Version = "0.1",
    colorspace: Annotated[
        Literal["Lab", "RGB"], typer.Option(help="Colour space of l2 and dssim.")
    ] = "Lab",
    head_weights: HeadWeights = None,
    backbone_weights: BackboneWeights = None,
    precision: Precision = "float32",
    bapps_dir: BappsDir = None,
    data_dir: DataDir = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Examples at once.")] = 50,
    save_distances: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Also write the distances of every example and what people said.",
            show_default=False,
        ),
    ] = None,
    report: Report = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Scores a metric by how well it agrees with people on the BAPPS data set."""
    _check_model(context, model)
    check_one_place(bapps_dir, data_dir)
    outputs.check_output(save_distances, (".csv",), "--save-distances")
    outputs.check_output(report, (".html",), "--report")
    with outputs.output_file(save_distances) as write, outputs.whole_file(report) as page_file:
        with extra("evaluate", "bapps"):
            import scipy  # noqa: F401

            from lpips_tf_cli.bapps import devices, results
            from lpips_tf_cli.bapps.sources import open_source, unpacked
        names = checked_datasets(mode, datasets)
        if datasets is None and bapps_dir is not None:
            names = unpacked(mode, names, bapps_dir)
        sources = [open_source(mode, name, bapps_dir, data_dir) for name in names]
        with devices.strategy().scope():
            options = MetricOptions(
                net, version, model == "baseline", head_weights, backbone_weights, precision
            )
            metric = results.build_metric(model, options, colorspace)
            scored = [results.score_on(source, metric, batch_size) for source in sources]
        found = [result for result, _ in scored]
        mean = results.mean_score(found)
        if save_distances is not None:
            columns = [name for name in scored[0][1] if name != "id"]
            write(("id", *columns), _rows(scored, columns))
        described = _described(model, options, colorspace)
        if page_file is not None:
            from lpips_tf_cli.reports.judgement_report import write_judgement_report

            shown = [*described.items(), *_files(head_weights, backbone_weights)]
            judged = [(source, *both) for source, both in zip(sources, scored, strict=True)]
            write_judgement_report(page_file, metric, shown, judged, _table(found, mean))
    if json:
        answer: dict[str, Any] = {"mode": mode, **described}
        answer |= {"datasets": [_as_json(result) for result in found], "mean": mean}
        print(json_module.dumps(answer, indent=2))
    else:
        _print_table(_table(found, mean))


def _check_model(context: typer.Context, model: str) -> None:
    """Refuses options that do not apply to the model."""
    of_models = {
        "net": ("lpips", "baseline"),
        "version": ("lpips", "baseline"),
        "head_weights": ("lpips",),
        "backbone_weights": ("lpips", "baseline"),
        "precision": ("lpips", "baseline"),
        "colorspace": ("l2", "dssim"),
    }
    for name, models in of_models.items():
        given = context.get_parameter_source(name)
        if model not in models and given is not None and given.name == "COMMANDLINE":
            raise typer.BadParameter(
                f"Expected --model {' or '.join(models)} with it. Received: {model}",
                param_hint=f"--{name.replace('_', '-')}",
            )


def _described(model: str, options: MetricOptions, colorspace: str) -> dict[str, str]:
    """The metric, in the words of the options; the precision where it is low."""
    if model in ("lpips", "baseline"):
        low = options.precision != "float32"
        described = {"model": model, "net": options.net, "version": options.version}
        return described | ({"precision": options.precision} if low else {})
    return {"model": model, "colorspace": colorspace}


def _files(head_weights: Path | None, backbone_weights: Path | None) -> list[tuple[str, str]]:
    """The weight files that were given, each under the name of its part."""
    given = {"heads": head_weights, "network": backbone_weights}
    return [(name, str(path)) for name, path in given.items() if path is not None]


def _rows(
    scored: list[tuple[Result, Columns]], names: list[str]
) -> Iterator[tuple[str | float, ...]]:
    """The rows of the file of distances. An id is the data set and the authors' file name."""
    from lpips_tf._support.floats import short_float

    for result, columns in scored:
        numbers = ([short_float(x) for x in columns[name]] for name in names)
        ids = (f"{result.dataset}/{name}" for name in columns["id"])
        yield from zip(ids, *numbers, strict=True)


def _as_json(result: Result) -> dict[str, Any]:
    """The result's fields, with None for NaN, which JSON lacks."""
    fields = dataclasses.asdict(result)
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in fields.items()}


def _table(found: list[Result], mean: float) -> list[tuple[str, ...]]:
    """The results as text, the header first."""
    rows: list[tuple[str, ...]] = [("dataset", "score", "95% interval", "count", "seconds")]
    for result in found:
        interval = f"{100 * result.low:.1f} – {100 * result.high:.1f}"
        if math.isnan(result.low):
            interval = "–"
        figures = (f"{100 * result.score:.1f}%", interval, str(result.count))
        rows.append((result.dataset, *figures, f"{result.seconds:.1f}"))
    if len(found) > 1:
        rows.append(("mean", f"{100 * mean:.1f}%", "", "", ""))
    return rows


def _print_table(rows: list[tuple[str, ...]]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    first, *others = rows[0]
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows[1:]:
        table.add_row(*row)
    Console().print(table)
