"""The command `evaluate`: scores a metric on BAPPS."""

from __future__ import annotations

import dataclasses
import json as json_module
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

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
from lpips_tf_cli.console.tables import print_table, without_nan

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
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="A.csv B.csv",
            help="Instead: does one metric agree better with people than another, by two files of "
            "--save-distances.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Scores a metric by how well it agrees with people on the BAPPS data set."""
    if compare is not None:
        _compare(context, *compare, json)
        return
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
        mean, families = results.mean_score(found), results.family_scores(found)
        table = _table(found, families, mean)
        if save_distances is not None:
            columns = [name for name in scored[0][1] if name != "id"]
            write(("id", *columns), _rows(scored, columns))
        described = _described(model, options, colorspace)
        if page_file is not None:
            from lpips_tf_cli.reports.judgement_report import write_judgement_report

            shown = [*described.items(), *_files(head_weights, backbone_weights)]
            judged = [(source, *both) for source, both in zip(sources, scored, strict=True)]
            write_judgement_report(page_file, metric, shown, judged, table)
    if json:
        answer: dict[str, Any] = {"mode": mode, **described}
        answer |= {"datasets": [without_nan(dataclasses.asdict(result)) for result in found]}
        answer |= {"families": families, "mean": mean}
        print(json_module.dumps(answer, indent=2))
    else:
        print_table(table)


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


def _table(found: list[Result], families: dict[str, float], mean: float) -> list[tuple[str, ...]]:
    """The results as text, the header first."""
    people = not math.isnan(found[0].best_score)  # who disagree, so that 100% is out of reach
    best = ("of best",) if people else ()
    rows: list[tuple[str, ...]] = [("dataset", "score", "95% interval", *best, "count", "seconds")]
    for result in found:
        interval = f"{100 * result.low:.1f} – {100 * result.high:.1f}"
        if math.isnan(result.low):
            interval = "–"
        share = (f"{100 * result.score / result.best_score:.1f}%",) if people else ()
        figures = (f"{100 * result.score:.1f}%", interval, *share, str(result.count))
        rows.append((result.dataset, *figures, f"{result.seconds:.1f}"))
    means = families | ({"mean": mean} if len(found) > 1 else {})
    rows += [
        (name, f"{100 * score:.1f}%", *[""] * (len(rows[0]) - 2)) for name, score in means.items()
    ]
    return rows


def _compare(context: typer.Context, a: Path, b: Path, json: bool) -> None:
    """Prints whether the metric of one file of distances agrees better than that of another."""
    for name in context.params.keys() - {"compare", "json"}:
        given = context.get_parameter_source(name)
        if given is not None and given.name == "COMMANDLINE":
            raise typer.BadParameter(
                "Expected no other options with it but --json. "
                f"Received: --{name.replace('_', '-')}",
                param_hint="--compare",
            )
    with extra("evaluate", "bapps"):
        from lpips_tf_cli.bapps.comparing import compare_files, comparison_rows
    compared = compare_files(a, b)
    if json:
        found = [{"dataset": name} | without_nan(result._asdict()) for name, result in compared]
        print(json_module.dumps({"a": str(a), "b": str(b), "datasets": found}, indent=2))
    else:
        print_table(comparison_rows(compared))
