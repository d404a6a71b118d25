"""Trains a metric in a run folder, from the data sets to the weight files."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

import lpips_tf
from lpips_tf import training as ranking
from lpips_tf import weights
from lpips_tf._support.whole_files import written_whole
from lpips_tf.metric import NETWORKS
from lpips_tf.weights import downloads
from lpips_tf_cli.console.progress import progress_bar
from lpips_tf_cli.console.text import counted
from lpips_tf_cli.judgements import devices
from lpips_tf_cli.judgements.sources import (
    Source,
    open_source,
    open_triplets,
    reason,
    translated_read_errors,
)
from lpips_tf_cli.training_runs import input_pipeline
from lpips_tf_cli.training_runs.cached_features import cached_records
from lpips_tf_cli.training_runs.epoch_callbacks import (
    EpochProgress,
    EpochSaver,
    Seeds,
    TensorBoardSummaries,
)
from lpips_tf_cli.training_runs.learning_curves import save_curves
from lpips_tf_cli.training_runs.run_folder import Run, load_checkpoint

SHOWN = 8  # triplets in TensorBoard


@dataclasses.dataclass(frozen=True)
class Options:
    """The options that, with the data, determine the outcome of a training."""

    datasets: list[str]  # of BAPPS, or a single table
    validation: list[str]
    mode: str
    net: str
    version: str
    epochs: int
    decay_epochs: int
    batch_size: int
    learning_rate: float
    dropout: float
    seed: int
    cache_features: bool
    crop: int | None = None  # side of the squares that are cut from a table's images

    @property
    def all_epochs(self) -> int:
        """The number of epochs, those of the decay included."""
        return self.epochs + self.decay_epochs


class Places(NamedTuple):
    """What a training reads, and the folders that it writes."""

    output: Path
    bapps_dir: Path | None
    data_dir: Path | None
    cache_dir: Path | None
    tables: bool = False  # read those that the options name, and not BAPPS


def train_metric(options: Options, places: Places, resume: bool) -> list[tuple[Path, str]]:
    """Trains a metric, or resumes its training.

    Returns:
        The weight files and their descriptions; none on hosts other than the first.

    Raises:
        ValueError: data is missing or cannot be read, or the folder has another run.
        OSError: a file cannot be written. The last whole epoch is kept.
    """
    strategy = devices.strategy(hosts=True)
    chief = devices.is_chief(strategy)
    keras.utils.set_random_seed(options.seed)
    tf.random.set_seed(1)  # with 0, `tf.data` takes no seed that is a tensor
    sources, validation = (
        [_opened(name, options, places) for name in names]
        for names in (options.datasets, options.validation)
    )
    config = _config(options, [*sources, *validation])
    with (
        devices.translated_host_errors(strategy),
        translated_read_errors(*sources, *validation),
    ):
        run = Run(places.output, config, resume) if chief else None
        devices.check_same(strategy, json.dumps([config["options"], config["data"]]))
        with strategy.scope():
            model = load_checkpoint(places.output) if resume else None
            model = model or _build(options)
        shuffling = input_pipeline.Shuffling(
            options.batch_size, options.seed, strategy.num_replicas_in_sync
        )
        count = sum(int(source.stored.cardinality()) for source in sources)
        done = _finished_epochs(model, shuffling.steps(count))
        if run is not None:
            run.begin(done)
        with _naming_resume(places.output, run):
            data = _data(model.metric, options, places, sources, validation, shuffling)
            if done < options.all_epochs:
                _fit(model, options, data, done, run, validation or sources)
    return [] if run is None else _finish(run, model, options)


def _opened(name: str, options: Options, places: Places) -> Source:
    if places.tables:
        return open_triplets(Path(name), options.crop, NETWORKS[options.net].min_size)
    return open_source("2afc", name, places.bapps_dir, places.data_dir)


@contextlib.contextmanager
def _naming_resume(output: Path, run: Run | None) -> Iterator[None]:
    """Says how to resume an interrupted training, and turns a full disk into an OSError."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise OSError(f"Cannot write {output}: {reason(error.message)}") from error
    except (KeyboardInterrupt, SystemExit):
        if run is not None:
            done = counted(len(run.history), "epoch")
            say = f"lpips-tf: stopped after {done}. The same command with --resume continues it\n"
            sys.stderr.write(say)
        raise


def _build(options: Options) -> ranking.RankingModel:
    metric = lpips_tf.LPIPS(
        options.net,
        options.version,
        backbone_weights=None if options.mode == "scratch" else "imagenet",
        head_weights=None,
        dropout=options.dropout,
    )
    kind = ranking.CachedRankingModel if options.cache_features else ranking.RankingModel
    model = kind(metric, options.mode)
    model.compile(ranking.optimizer(options.learning_rate))
    model.optimizer.build(model.trainable_variables)  # or the first step would be traced twice
    return model


def _data(
    metric: lpips_tf.LPIPS,
    options: Options,
    places: Places,
    sources: list[Source],
    validation: list[Source],
    shuffling: input_pipeline.Shuffling,
) -> input_pipeline.Data:
    if not options.cache_features:
        return input_pipeline.of_images(sources, validation, shuffling)
    folder = places.cache_dir or downloads.home() / "features"
    records, validated = (
        [cached_records(metric, source, folder) for source in part]
        for part in (sources, validation)
    )
    return input_pipeline.of_differences(records, validated, shuffling)


def _finished_epochs(model: ranking.RankingModel, steps: int) -> int:
    iterations = int(keras.ops.convert_to_numpy(model.optimizer.iterations))
    # On another number of devices an epoch may have had one step more or less.
    return round(iterations / steps)


def _fit(
    model: ranking.RankingModel,
    options: Options,
    data: input_pipeline.Data,
    done: int,
    run: Run | None,
    shown: list[Source],
) -> None:
    callbacks = [
        keras.callbacks.LearningRateScheduler(
            lambda epoch: ranking.learning_rate(
                epoch,
                start=options.learning_rate,
                epochs=options.epochs,
                decay_epochs=options.decay_epochs,
            )
        ),
        Seeds(options.seed),
    ]
    with contextlib.ExitStack() as stack:
        if run is not None:
            bar = stack.enter_context(progress_bar("training"))
            logs = keras.callbacks.TensorBoard(str(run.logs), write_graph=False)
            summaries = TensorBoardSummaries(run.logs / "heads", *_first(shown, SHOWN))
            callbacks += [
                logs,
                summaries,
                EpochSaver(run),
                EpochProgress(bar, data.steps, options.all_epochs, run),
            ]
        model.fit(
            data.epochs.between(done, options.all_epochs),
            epochs=options.all_epochs,
            initial_epoch=done,
            steps_per_epoch=data.steps,
            validation_data=data.validation,
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
        )


def _first(sources: list[Source], count: int) -> tuple[list[np.ndarray], np.ndarray]:
    """The first triplets of each data set, `count` or a few more in all, and people's answers."""
    each = -(-count // len(sources))
    examples = [
        example
        for source in sources
        for example in source.read_examples(source.stored.take(each)).as_numpy_iterator()
    ]
    images = [np.stack([example[name] for example in examples]) for name in ("ref", "p0", "p1")]
    return images, np.array([example["judge"] for example in examples])


def _finish(run: Run, model: ranking.RankingModel, options: Options) -> list[tuple[Path, str]]:
    """Writes the weight files and the curves of a finished training."""
    with written_whole(run.folder / "learning_curve.png") as temporary:
        save_curves(temporary, run.history)
    metric, heads, backbone = model.metric, run.folder / "heads.h5", run.folder / "backbone.h5"
    source = f"lpips-tf train --mode {options.mode} on {', '.join(options.datasets)}"
    agreement = f"2AFC in training {run.history[-1]['two_afc']:.1%}"
    weights.write_heads(heads, metric, source)
    files = [(heads, f"heads of {metric.net} {metric.version}, {agreement}")]
    if options.mode != "heads":
        weights.write_backbone(backbone, metric, source)
        files.append((backbone, f"convolutions of {metric.net}"))
    return files


def _config(options: Options, sources: list[Source]) -> dict[str, Any]:
    modules = (lpips_tf, keras, tf, np)
    versions = {module.__name__: module.__version__ for module in modules}
    return {
        "options": dataclasses.asdict(options),
        "data": {
            source.name: {
                "triplets": int(source.stored.cardinality()),
                "names_and_sizes": source.fingerprint(times=False),
            }
            for source in sources
        },
        "folders": {
            source.name: sorted({str(path.parent) for path in source.files.values()})
            for source in sources
        },
        "versions": versions | {"python": platform.python_version()},
        "devices": [device.name for device in tf.config.list_logical_devices()],
    }
