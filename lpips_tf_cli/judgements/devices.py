"""The devices on which a command computes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import warnings
from collections.abc import Iterator
from typing import Any

import tensorflow as tf


def strategy(hosts: bool = False) -> tf.distribute.Strategy:
    """A strategy over all GPUs if there are several, or else TensorFlow's default.

    Args:
        hosts: also use the hosts that the environment variable TF_CONFIG names, if there are
            several (`tf.distribute.cluster_resolver.TFConfigClusterResolver`). TensorFlow must not
            have computed anything before. Without it, a warning says that those hosts are not used.

    Raises:
        ValueError: TF_CONFIG is not JSON.
    """
    cluster = _cluster()
    count = len([*cluster.get("chief", []), *cluster.get("worker", [])])
    if count > 1 and hosts:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if count > 1:
        warnings.warn(
            f"TF_CONFIG names {count} hosts, but this command computes all of its work on this one",
            stacklevel=2,
        )
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes files, where there are several hosts."""
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_type is None:
        return True
    chief = "chief" if "chief" in resolver.cluster_spec().jobs else "worker"
    return (resolver.task_type, resolver.task_id) == (chief, 0)


def _cluster() -> dict[str, Any]:
    text = os.environ.get("TF_CONFIG") or "{}"
    try:
        config = json.loads(text)
        cluster: dict[str, Any] = config.get("cluster", {})
        if not all(isinstance(part, dict) for part in (cluster, config.get("task", {}))):
            raise ValueError("no objects")
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f'Expected JSON with the objects "cluster" and "task" in TF_CONFIG. Received: {text}'
        ) from error
    return cluster


def check_same(strategy: tf.distribute.Strategy, what: str) -> None:
    """Raises ValueError unless `what` is the same on all hosts."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return
    digest = int.from_bytes(hashlib.sha256(what.encode()).digest()[:7], "big")

    @tf.function(autograph=False)
    def gathered() -> tf.Tensor:
        own = strategy.run(lambda: tf.constant([digest], tf.int64))
        return strategy.gather(own, axis=0)

    if len(set(gathered().numpy().tolist())) > 1:
        raise ValueError(
            "Expected the same options and data on all hosts. "
            "Received: different ones on at least one"
        )


@contextlib.contextmanager
def translated_host_errors(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turns TensorFlow's errors for a host that stopped into a ValueError that says so."""
    try:
        yield
    except tf.errors.OpError as error:
        several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        if several and "Collective ops is aborted" in error.message:
            raise ValueError("Another host stopped. It says why") from error
        raise
