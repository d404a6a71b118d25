"""Runs `score` as a Beam pipeline, here or elsewhere."""

from __future__ import annotations

import argparse
import collections
import contextlib
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow
import typer
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions

from lpips_tf._support.resizing import Resizing
from lpips_tf._support.whole_files import written_whole
from lpips_tf.beam import NAMESPACE, ScorePairs
from lpips_tf_cli.console.imports import quietly
from lpips_tf_cli.pipelines import manifests

LOCAL = ("DirectRunner", "BundleBasedDirectRunner", "SwitchingDirectRunner", None)
ATTEMPTS = 3  # after a worker process ended; runners for clusters start another themselves
ENDED = ("Channel closed prematurely", "Worker subprocess exited")


class Counts(NamedTuple):
    """The numbers of distances, of errors, and of images that resizing distorts."""

    pairs: int
    errors: int
    distorted: int


def score_manifest(
    manifest: str,
    output: str,
    options: Mapping[str, Any],
    per_layer: bool,
    batch_size: int,
    srgb: bool,
    resizing: Resizing | None,
    beam_arguments: Sequence[str],
) -> Counts:
    """Writes the rows of a manifest with their distances to one Parquet file, whole or not at all.

    Raises:
        OSError: the manifest cannot be read, or the output not be written.
        ValueError: the manifest is unfit, as `manifests.schema` says.
        RuntimeError: the pipeline failed.
    """
    logging.getLogger().setLevel(logging.ERROR)
    columns = manifests.schema(manifest)
    pipeline_options = _checked_options(beam_arguments)
    resize = resizing.text if resizing else None
    transform = ScorePairs(
        per_layer=per_layer, batch_size=batch_size, srgb=srgb, resize=resize, **options
    )

    def run(prefix: str) -> Counts:
        pipeline = beam.Pipeline(options=pipeline_options)
        (
            manifests.read_manifest(pipeline, manifest)
            | "Score" >> transform
            | "Restore" >> beam.Map(manifests.restored)
            | "Write"
            >> beam.io.WriteToParquet(
                prefix,
                _with_results(columns, per_layer, resize is not None),
                file_name_suffix=".parquet",
                num_shards=1,
                shard_name_template="",
            )
        )
        result = pipeline.run()
        result.wait_until_finish()
        return _counts(result)

    if "://" in output:  # Beam moves its files there when all is done
        return run(output.removesuffix(".parquet"))
    with (
        written_whole(output) as temporary,
        tempfile.TemporaryDirectory(prefix=".score-", dir=temporary.parent) as folder,
        _temporary_files_in(folder),
    ):
        counts = _tried(run, f"{folder}/result", pipeline_options)
        Path(folder, "result.parquet").replace(temporary)
    return counts


@contextlib.contextmanager
def _temporary_files_in(folder: str) -> Iterator[None]:
    """Keeps temporary files in a folder, as Beam leaves some behind."""
    before, tempfile.tempdir = tempfile.tempdir, folder
    try:
        yield
    finally:
        tempfile.tempdir = before


def _tried(run: Callable[[str], Counts], prefix: str, options: PipelineOptions) -> Counts:
    """Runs a pipeline, on this machine up to `ATTEMPTS` times if worker processes are killed."""
    attempts = ATTEMPTS if options.view_as(StandardOptions).runner in LOCAL else 1
    for attempt in range(1, attempts + 1):
        try:
            with quietly():  # worker processes load TensorFlow
                return run(prefix)
        except RuntimeError as error:
            if "KeyboardInterrupt" in str(error):  # Beam wraps it in an error of its own
                raise KeyboardInterrupt from error
            if "SystemExit: 143" in str(error):
                raise SystemExit(128 + signal.SIGTERM) from error
            if attempt == attempts or not any(words in str(error) for words in ENDED):
                raise
            print("lpips-tf: warning: a worker process ended; starting again", file=sys.stderr)
    raise AssertionError


def _checked_options(arguments: Sequence[str]) -> PipelineOptions:
    """Beam's options. Refuses those that no runner knows, as Beam would ignore them."""
    parser: Any = argparse.ArgumentParser(allow_abbrev=False, add_help=False, exit_on_error=False)
    for kind in PipelineOptions.__subclasses__():
        kind._add_argparse_args(parser)
    try:
        _, unknown = parser.parse_known_args(list(arguments))
    except argparse.ArgumentError as error:
        raise typer.BadParameter(str(error)) from error
    if unknown:
        raise typer.BadParameter(f"Expected options of Beam. Received: {' '.join(unknown)}")
    options = PipelineOptions(list(arguments))
    workers = options.view_as(DirectOptions).direct_num_workers
    if workers > 1:  # each would take all cores otherwise
        share = max((os.cpu_count() or 1) // workers, 1)
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(share))
        os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    return options


def _with_results(columns: pyarrow.Schema, per_layer: bool, resized: bool) -> pyarrow.Schema:
    for name, kind in (("distance", pyarrow.float64()), ("error", pyarrow.string())):
        columns = columns.append(pyarrow.field(name, kind))
    if per_layer:
        columns = columns.append(pyarrow.field("layers", pyarrow.list_(pyarrow.float64())))
    if resized:
        columns = columns.append(pyarrow.field("resized", pyarrow.string()))
    return columns.remove_metadata()


def _counts(result: Any) -> Counts:
    found = collections.Counter[str]()
    for counter in result.metrics().query()["counters"]:  # of each step
        if counter.key.metric.namespace == NAMESPACE:
            found[counter.key.metric.name] += counter.result
    return Counts(found["pairs"], found["errors"], found["distorted"])
