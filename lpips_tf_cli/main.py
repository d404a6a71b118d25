"""The command `lpips-tf`."""

from __future__ import annotations

import importlib.metadata
from typing import Annotated

import typer

from lpips_tf_cli import compare, evaluate, export, neighbors, optimize, program, score, train
from lpips_tf_cli.variadic import VariadicCommand

app = typer.Typer(
    help="LPIPS, the perceptual distance between images: 0 for equal ones, higher for others.",
    no_args_is_help=True,
    rich_markup_mode="markdown",  # joins the lines of docstrings
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("pair")(compare.pair)
app.command("dirs")(compare.dirs)
app.command("all-pairs")(compare.all_pairs)
app.command("optimize")(optimize.optimize)
app.command("evaluate", cls=VariadicCommand)(evaluate.evaluate)
app.command("train", cls=VariadicCommand)(train.train)
app.command("index")(neighbors.index)
app.command("search")(neighbors.search)
app.command("duplicates")(neighbors.duplicates)
app.command("score", context_settings=score.SETTINGS)(score.score)
app.add_typer(export.app, name="export")


def _print_version(asked: bool) -> None:
    if asked:
        print(f"lpips-tf {importlib.metadata.version('lpips-tf')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True,
                           help="Print the version and exit.")
    ] = False,
):  # fmt: skip
    """Takes the options of the command itself."""


def main() -> None:
    """Runs `lpips-tf`."""
    program.run(app, "lpips-tf")
