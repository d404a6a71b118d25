"""The command `lpips-tf`."""

from __future__ import annotations

import importlib.metadata
from typing import Annotated

import typer

from lpips_tf_cli.commands import (
    all_pairs,
    dirs,
    evaluate,
    exporting,
    optimize,
    pair,
    score,
    search,
    train,
    video,
)
from lpips_tf_cli.console import running
from lpips_tf_cli.console.variadic import VariadicCommand

app = typer.Typer(
    help="LPIPS, the perceptual distance between images: 0 if equal, higher if they look more "
    "different.",
    no_args_is_help=True,
    rich_markup_mode="markdown",  # joins the lines of docstrings
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("pair")(pair.pair)
app.command("dirs")(dirs.dirs)
app.command("all-pairs")(all_pairs.all_pairs)
app.command("video")(video.video)
app.command("optimize")(optimize.optimize)
app.command("evaluate", cls=VariadicCommand)(evaluate.evaluate)
app.command("train", cls=VariadicCommand)(train.train)
app.command("index")(search.index)
app.command("search")(search.search)
app.command("duplicates")(search.duplicates)
app.command("score", context_settings=score.SETTINGS)(score.score)
app.add_typer(exporting.app, name="export")


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
) -> None:  # fmt: skip
    """Takes the options of the command itself."""


def main() -> None:
    """Runs `lpips-tf`."""
    running.run(app, "lpips-tf")
