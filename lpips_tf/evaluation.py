"""How well a metric agrees with people: its distances on BAPPS, and their scores.

TensorFlow computes the distances in compiled batches.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from lpips_tf import scores
from lpips_tf._judgements.batches import by_size, compiled
from lpips_tf._judgements.correlations import Correlation, Correlations, correlations
from lpips_tf._judgements.paired_tests import Comparison, compare
from lpips_tf._judgements.resampling import expanded, groups_of
from lpips_tf._support.arguments import check_count, is_number, shown
from lpips_tf._support.image_batches import batch_length

__all__ = [
    "Columns",
    "Comparison",
    "Correlation",
    "Correlations",
    "compare",
    "confidence_interval",
    "correlations",
    "distances",
    "score",
]

Columns = dict[str, npt.NDArray[Any]]
RESAMPLES = 1000  # of the bootstrap
KINDS = (  # the features of each kind of judgements
    {"id", "ref", "p0", "p1", "judge"},
    {"id", "p0", "p1", "same"},
    {"id", "ref", "p0", "reference", "opinion"},
)


def distances(
    metric: Callable[[Any, Any], Any],
    dataset: tf.data.Dataset,
    batch_size: int = 50,
    progress: Callable[[int, int], None] | None = None,
) -> Columns:
    """Computes a metric's distances on a data set of judgements.

    Args:
        metric: a function of two batches of uint8 tensors (N, H, W, 3) that returns distances (N,),
            such as `LPIPS`, `baselines.DSSIM` or one of your own, which is traced as a
            `tf.function`. Within a `tf.distribute` strategy each replica computes a part of each
            batch; create the metric's variables in the strategy's scope too.
        dataset: unbatched examples, as `tfds.load` gives those of BAPPS and
            `tfds_bapps.load_manifest` those of a table. Examples may differ in image size; those of
            one size are computed together.
        batch_size: number of examples in a batch; large images are batched in smaller numbers.
        progress: called as `progress(done, total)` after each batch; the total is negative if
            `dataset.cardinality()` is unknown.

    Returns:
        The columns "id" (str), and for 2AFC "d0", "d1", "judge", for JND "distance", "same"
        (float32), for opinion scores "distance", "opinion", in the order of the data set. The rows
        of a table also have "reference" (str).

    Raises:
        ValueError: `dataset` has no examples, or not the features of any kind of judgement;
            `metric` returns another shape or type; or `batch_size` is below 1.
    """
    check_count("batch_size", batch_size)
    spec = _checked_spec(metric, dataset)
    batches, done = [], 0
    for batch in _batch_distances(metric, dataset, spec, batch_size):
        batches.append(batch)
        done += len(batch["id"])
        if progress is not None:
            progress(done, int(dataset.cardinality()))
    if not batches:
        raise ValueError("Expected examples. Received: an empty data set")
    columns = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    order = np.argsort(columns.pop("index"))
    return {name: column[order] for name, column in columns.items()}


def _checked_spec(metric: Any, dataset: Any) -> dict[str, tf.TensorSpec]:
    """The features of a data set of judgements; raises ValueError for what cannot be computed."""
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"Expected the TensorFlow backend. Received: KERAS_BACKEND={keras.backend.backend()}"
        )
    if not callable(metric):
        raise ValueError(f"Expected a function of two batches. Received: {shown(metric)}")
    spec = getattr(dataset, "element_spec", None)
    if not isinstance(spec, dict) or not any(kind <= set(spec) for kind in KINDS):
        received = sorted(spec) if isinstance(spec, dict) else spec or shown(dataset)
        raise ValueError(
            "Expected a tf.data.Dataset of judgements, such as bapps/2afc or bapps/jnd. "
            f"Received: {received}"
        )
    return spec


def _batch_distances(
    metric: Callable[[Any, Any], Any],
    dataset: tf.data.Dataset,
    spec: dict[str, tf.TensorSpec],
    batch_size: int,
) -> Iterator[Columns]:
    """The columns of each batch of examples of one size, and their places in the data set."""
    images = [name for name in ("ref", "p0", "p1") if name in spec]
    answers = [name for name in ("judge", "same", "opinion") if name in spec]
    texts = [name for name in ("id", "reference") if name in spec]
    names = ("d0", "d1") if "judge" in spec else ("distance",)
    compute = compiled(metric, [spec[name] for name in images])
    indexed = dataset.enumerate().map(lambda index, example: example | {"index": index})
    for batch in _same_sized(indexed, [spec[name] for name in images], images[0], batch_size):
        columns = dict(zip(names, compute([batch[name] for name in images]), strict=True))
        for name, column in columns.items():
            if column.shape != batch["id"].shape:
                raise ValueError(
                    "Expected a metric that gives one distance for each of "
                    f"{len(batch['id'])} pairs. Received: {name}.shape={column.shape}"
                )
        columns |= {name: batch[name].numpy() for name in ("index", *answers)}
        columns |= {name: _text(batch[name]) for name in texts}
        yield columns


def _same_sized(
    dataset: tf.data.Dataset, specs: Sequence[tf.TensorSpec], image: str, batch_size: int
) -> Iterable[dict[str, tf.Tensor]]:
    """Batches of examples whose images have one size."""
    if any(None in spec.shape.as_list() for spec in specs):
        return by_size(dataset.prefetch(2), image, batch_size)
    height, width, _ = specs[0].shape.as_list()
    batches: Iterable[dict[str, tf.Tensor]]
    batches = in_batches(dataset, batch_length((height, width), batch_size))
    return batches


def _text(tensor: tf.Tensor) -> npt.NDArray[Any]:
    return np.array([os.fsdecode(name) for name in tensor.numpy()])


def in_batches(dataset: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
    """Batches of a data set for one pass."""
    check_count("batch_size", batch_size)
    count = int(dataset.cardinality())
    if count > 0:  # known; tf.data makes room for whole batches
        batch_size = min(batch_size, count)
    options = tf.data.Options()
    # tf.data's autotuning thread sleeps for growing periods, and the end of a data set often waits
    # for it: 0.9 seconds after 1.7 of work.
    options.autotune.enabled = False
    return dataset.batch(batch_size).prefetch(2).with_options(options)


def score(columns: Columns) -> float:
    """The 2AFC or the JND score of what `distances` returned.

    Args:
        columns: of 2AFC "d0", "d1" and "judge", of JND "distance" and "same", (N,) each. Others do
            not matter.

    Raises:
        ValueError: other columns, of several lengths, or with NaN; or judgements outside [0, 1].
    """
    return _score(columns)(*_values(columns))


def confidence_interval(columns: Columns, confidence: float = 0.95) -> tuple[float, float]:
    """Returns a bootstrap confidence interval of `score`.

    The interval is an expanded percentile interval, which is wider for few examples. Triplets of
    one reference are not independent: with a column "reference", whole references are resampled.

    Args:
        columns: as for `score`, and perhaps "reference".
        confidence: how often such intervals hold the score of all that could have been drawn.

    Returns:
        (low, high); NaN for a single example or reference, which says nothing about the spread.

    Raises:
        ValueError: as `score` does; `confidence` is not between 0 and 1; or "reference" does not
            name one for each example.
    """
    from scipy import stats

    if not is_number(confidence) or not 0 < confidence < 1:
        raise ValueError(f"Expected confidence between 0 and 1. Received: {shown(confidence)}")
    score, values = _score(columns), _values(columns)
    if "judge" in columns:  # an average, of the sums and numbers of examples of each reference
        groups = groups_of(columns, len(values[0]))
        values = [np.bincount(groups, scores.agreement(*values)), np.bincount(groups)]
        score = _ratio
    if len(values[0]) < 2:
        return float("nan"), float("nan")
    found = stats.bootstrap(
        values,
        score,
        paired=True,
        vectorized=False,
        n_resamples=RESAMPLES,
        confidence_level=expanded(confidence, len(values[0])),
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _ratio(sums: npt.NDArray[Any], counts: npt.NDArray[Any]) -> float:
    return float(sums.sum() / counts.sum())


def _score(columns: Columns) -> Callable[..., float]:
    if not isinstance(columns, Mapping):
        raise ValueError(f"Expected columns of distances. Received: {shown(columns)}")
    if "opinion" in columns:
        raise ValueError(
            "Expected columns of 2AFC or JND. Received: opinion scores, see evaluation.correlations"
        )
    return scores.two_afc_score if "judge" in columns else scores.jnd_score


def _values(columns: Columns) -> list[npt.NDArray[Any]]:
    names = ("d0", "d1", "judge") if "judge" in columns else ("distance", "same")
    if not set(names) <= columns.keys():
        raise ValueError(
            "Expected columns d0, d1 and judge of 2AFC, or distance and same of JND. "
            f"Received: {', '.join(columns) or 'none'}"
        )
    return [columns[name] for name in names]
