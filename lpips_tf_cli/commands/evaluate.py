"""The command `evaluate`: scores a metric by people's judgements."""

from __future__ import annotations

import json as json_module
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
from lpips_tf_cli.console.option_groups import with_option_groups
from lpips_tf_cli.console.options import (
    Report,
    check_one_place,
    checked_datasets,
    checked_resizing,
)
from lpips_tf_cli.console.tables import print_table, without_nan
from lpips_tf_cli.judgements.options import BappsOptions, TableOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lpips_tf_cli.judgements.results import Scored
    from lpips_tf_cli.judgements.sources import Source
    from lpips_tf_cli.judgements.tables import Table
    from lpips_tf_cli.reading.image_files import ImageFiles

OF_BAPPS = {"mode", "datasets", "bapps_dir", "data_dir"}
OF_TABLES = {"group", "lower_is_better", "resize", "srgb", "skip_errors"}


@with_option_groups
def evaluate(
    context: typer.Context,
    bapps: BappsOptions,
    table: TableOptions,
    model: Annotated[
        Literal["lpips", "baseline", "l2", "dssim"],
        typer.Option(help="Metric to score. baseline is the network without its calibrated heads."),
    ] = "lpips",
    net: Net = "alex",
    version: Version = "0.1",
    colorspace: Annotated[
        Literal["Lab", "RGB"], typer.Option(help="Colour space of l2 and dssim.")
    ] = "Lab",
    head_weights: HeadWeights = None,
    backbone_weights: BackboneWeights = None,
    precision: Precision = "float32",
    batch_size: Annotated[
        int, typer.Option(min=1, help="Examples per batch. Batches of large images are smaller.")
    ] = 50,
    save_distances: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Also write each example's distances and judgement.",
            show_default=False,
        ),
    ] = None,
    report: Report = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="A.csv B.csv",
            help="Compare two metrics instead: does A agree better with people than B? Takes two "
            "files of --save-distances.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Scores how well a metric agrees with people, on BAPPS or on your own table."""
    if compare is not None:
        _compare(context, *compare, json)
        return 0
    _check_model(context, model)
    _check_judgements(context, table)
    check_one_place(bapps.bapps_dir, bapps.data_dir)
    resizing = checked_resizing(table.resize)
    outputs.check_output(save_distances, (".csv",), "--save-distances")
    outputs.check_output(report, (".html",), "--report")
    outputs.check_no_input(
        save_distances, [path for path in [table.judgements] if path], "--save-distances"
    )
    options = MetricOptions(
        net, version, model == "baseline", head_weights, backbone_weights, precision
    )
    with extra("evaluate", "bapps"):
        import scipy  # noqa: F401

        from lpips_tf_cli.judgements import cautions, devices, results, score_tables
        from lpips_tf_cli.judgements.metrics import build_metric
        from lpips_tf_cli.reading import image_files
    files = image_files.ImageFiles(table.srgb, table.skip_errors, resizing)
    with outputs.output_file(save_distances) as write, outputs.whole_file(report) as page_file:
        judged = _tables(table, files) if table.judgements else _sources(bapps)
        with devices.strategy().scope():
            metric = build_metric(model, options, colorspace)
            scored = results.score_all(judged, metric, batch_size, table.lower_is_better)
        files.warn_of_distorted()
        found = results.all_results(scored, table.lower_is_better)
        if table.judgements:
            cautions.warn_of_results(found, table.lower_is_better)
        rows = score_tables.text_rows(found)
        write(*score_tables.distance_rows(judged, scored, table))
        described = _described(model, options, colorspace)
        if page_file is not None:
            from lpips_tf_cli.reports.judgement_report import write_judgement_report

            shown = [*described.items(), *_files(head_weights, backbone_weights)]
            if files.errors:
                left_out = ", ".join(_left_out(judged, scored)) or "no group"
                shown += [("errors", str(len(files.errors))), ("left out", left_out)]
            write_judgement_report(page_file, metric, shown, scored, rows, table.lower_is_better)
    if json:
        about = _about(scored, table) | described
        if table.judgements:
            about |= {"errors": len(files.errors), "left_out": _left_out(judged, scored)}
        print(json_module.dumps(about | score_tables.as_json(found), indent=2))
    else:
        print_table(rows)
    return int(bool(files.errors))


def _sources(bapps: BappsOptions) -> list[Source]:
    """The data sets of BAPPS."""
    from lpips_tf_cli.judgements.sources import open_source, unpacked

    names = checked_datasets(bapps.mode, bapps.datasets)
    if bapps.datasets is None and bapps.bapps_dir is not None:
        names = unpacked(bapps.mode, names, bapps.bapps_dir)
    return [open_source(bapps.mode, name, bapps.bapps_dir, bapps.data_dir) for name in names]


def _tables(table: TableOptions, files: ImageFiles) -> list[Table]:
    """The table, or its groups."""
    from lpips_tf_cli.judgements.tables import open_tables

    assert table.judgements is not None
    found = open_tables(table.judgements, table.group, files)
    if table.lower_is_better and found[0].mode != "opinions":
        raise typer.BadParameter(
            f"Expected a table of opinions with it. Received: {table.judgements} of triplets",
            param_hint="--lower-is-better",
        )
    return found


def _about(scored: list[Scored], table: TableOptions) -> dict[str, Any]:
    """The judgements, for JSON."""
    judgements = {"judgements": str(table.judgements)} if table.judgements else {}
    return judgements | {"mode": scored[0][0].mode}


def _left_out(judged: Sequence[Source | Table], scored: list[Scored]) -> list[str]:
    """The groups of which no image can be read."""
    names = {result.dataset for _, result, _ in scored}
    return [part.name for part in judged if part.name not in names]


def _given(context: typer.Context) -> list[str]:
    """The names of the options that stand on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return [name for name, source in sources.items() if source and source.name == "COMMANDLINE"]


def _check_judgements(context: typer.Context, table: TableOptions) -> None:
    """Refuses options of tables without one, and options of BAPPS with one."""
    without = table.judgements is None
    for name in _given(context):
        if name in (OF_TABLES if without else OF_BAPPS):
            expected = "--judgements" if without else "no --judgements"
            raise typer.BadParameter(f"Expected {expected} with it", param_hint=_option(name))


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


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
    for name in _given(context):
        if model not in (models := of_models.get(name, (model,))):
            raise typer.BadParameter(
                f"Expected --model {' or '.join(models)} with it. Received: {model}",
                param_hint=_option(name),
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


def _compare(context: typer.Context, a: Path, b: Path, json: bool) -> None:
    """Prints whether the metric of one file of distances agrees better than that of another."""
    for name in _given(context):
        if name not in ("compare", "json"):
            raise typer.BadParameter(
                f"Expected no other options with it but --json. Received: {_option(name)}",
                param_hint="--compare",
            )
    with extra("evaluate", "bapps"):
        from lpips_tf_cli.judgements.comparing import compare_files, comparison_rows
    compared, opinions = compare_files(a, b)
    if json:
        found = [{"dataset": name} | without_nan(result._asdict()) for name, result in compared]
        print(json_module.dumps({"a": str(a), "b": str(b), "datasets": found}, indent=2))
    else:
        print_table(comparison_rows(compared, opinions))
