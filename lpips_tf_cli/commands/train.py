"""The command `train`: trains a metric on people's judgements."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Annotated, Literal

import typer

from lpips_tf_cli.console.imports import extra
from lpips_tf_cli.console.metric_options import Net, Version
from lpips_tf_cli.console.options import (
    BappsDir,
    DataDir,
    check_one_place,
    checked_datasets,
)
from lpips_tf_cli.console.text import printable


def train(
    output: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder of the run: new, empty or, with --resume, that of an earlier run.",
            show_default=False,
        ),
    ],
    datasets: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DATASET...",
            help="BAPPS data sets to train on together, such as train/traditional train/cnn "
            "train/mix.",
            show_default=False,
        ),
    ] = None,
    judgements: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Train on a table instead: .csv or .parquet with the columns reference, image0, "
            "image1 and judge (the share of people who chose image1).",
            show_default=False,
        ),
    ] = None,
    crop: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="PIXELS",
            help="Train on squares of this side, cut at random in each epoch. Validation and "
            "--cache-features take the middle.",
            show_default=False,
        ),
    ] = None,
    mode: Annotated[
        Literal["heads", "tune", "scratch"],
        typer.Option(
            help="What to train. heads: only the heads. tune: the backbone too, from ImageNet's "
            "weights. scratch: the backbone too, from random weights."
        ),
    ] = "heads",
    net: Net = "alex",
    version: Version = "0.1",
    epochs: Annotated[int, typer.Option(min=0, help="Epochs before the learning rate decays.")] = 5,
    decay_epochs: Annotated[
        int,
        typer.Option(
            min=0,
            help="Further epochs. From the second of them on the learning rate falls towards 0.",
        ),
    ] = 5,
    batch_size: Annotated[int, typer.Option(min=1, help="Triplets per training step.")] = 50,
    learning_rate: Annotated[float, typer.Option(help="Learning rate of Adam.")] = 1e-4,
    dropout: Annotated[float, typer.Option(help="Dropout rate before each head.")] = 0.5,
    seed: Annotated[
        int,
        typer.Option(min=0, max=2**31 - 1, help="Seed of initial weights, data order and dropout."),
    ] = 0,
    validation: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DATASET...",
            help="Data sets, or with --judgements a table, to score after each epoch. The "
            "checkpoint best.keras is of the epoch with the highest score.",
            show_default=False,
        ),
    ] = None,
    cache_features: Annotated[
        bool,
        typer.Option(
            "--cache-features",
            help="Train heads on cached features: the network runs once over the data.",
        ),
    ] = False,
    cache_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the feature cache. By default ~/.keras/lpips_tf/features.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in the folder, if there is one.")
    ] = False,
    bapps_dir: BappsDir = None,
    data_dir: DataDir = None,
) -> None:
    """Trains a metric on people's judgements, as the paper does."""
    _check_numbers(epochs + decay_epochs, learning_rate, dropout)
    if mode != "heads" and cache_features:
        raise typer.BadParameter(
            f"Expected --mode heads with it. Received: {mode}", param_hint="--cache-features"
        )
    if cache_dir is not None and not cache_features:
        raise typer.BadParameter("Expected --cache-features with it", param_hint="--cache-dir")
    check_one_place(bapps_dir, data_dir)
    _check_data(datasets, judgements, crop, [bapps_dir, data_dir])
    with extra("train", "train"):
        import tensorboard  # noqa: F401

        from lpips_tf_cli.training_runs import fitting
    if judgements is None:
        names = checked_datasets("2afc", datasets)
        validation_names = checked_datasets("2afc", validation or [], "--validation")
    else:
        names, validation_names = [str(judgements)], list(dict.fromkeys(validation or []))
    _warn_of_validation_data(names, validation_names)
    options = fitting.Options(
        datasets=names,
        validation=validation_names,
        mode=mode,
        net=net,
        version=version,
        epochs=epochs,
        decay_epochs=decay_epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        dropout=dropout,
        seed=seed,
        cache_features=cache_features,
        crop=crop,
    )
    places = fitting.Places(output, bapps_dir, data_dir, cache_dir, judgements is not None)
    for path, what in fitting.train_metric(options, places, resume):
        print(f"{printable(path)}: {what}")


def _check_data(
    datasets: list[str] | None,
    judgements: Path | None,
    crop: int | None,
    places: list[Path | None],
) -> None:
    if (datasets is None) == (judgements is None):
        received = "neither" if datasets is None else "both"
        raise typer.BadParameter(
            f"Expected one of --datasets and --judgements. Received: {received}"
        )
    if judgements is not None and any(places):
        raise typer.BadParameter(
            "Expected no --bapps-dir or --data-dir with it", param_hint="--judgements"
        )
    if judgements is None and crop is not None:
        raise typer.BadParameter("Expected --judgements with it", param_hint="--crop")


def _warn_of_validation_data(datasets: list[str], validation: list[str]) -> None:
    seen = [name for name in datasets if name.startswith("val/") or name in validation]
    if seen:
        warnings.warn(
            f"{' and '.join(seen)} is for validation. After training on it, a score "
            "on it does not tell how the metric does on other images",
            stacklevel=2,
        )


def _check_numbers(epochs: int, learning_rate: float, dropout: float) -> None:
    if epochs < 1:
        raise typer.BadParameter("Expected an epoch or more. Received: 0", param_hint="--epochs")
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise typer.BadParameter(
            f"Expected a number above 0. Received: {learning_rate}", param_hint="--learning-rate"
        )
    if not 0 <= dropout < 1:
        raise typer.BadParameter(
            f"Expected a share from 0 to below 1. Received: {dropout}", param_hint="--dropout"
        )
