"""The devices that a command computes on."""

from __future__ import annotations

import json
import os

import tensorflow as tf


def strategy(hosts: bool = False) -> tf.distribute.Strategy:
    """A strategy over all GPUs, if there are several, or else TensorFlow's default.

    Args:
        hosts: also over those that the environment variable TF_CONFIG names, if there are several
            (`tf.distribute.cluster_resolver.TFConfigClusterResolver`). Nothing may have been
            computed before.

    Raises:
        ValueError: TF_CONFIG is no JSON.
    """
    cluster = _cluster() if hosts else {}
    if len([*cluster.get("chief", []), *cluster.get("worker", [])]) > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one of several hosts that writes files."""
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_type is None:
        return True
    chief = "chief" if "chief" in resolver.cluster_spec().jobs else "worker"
    return (resolver.task_type, resolver.task_id) == (chief, 0)


def _cluster() -> dict:
    text = os.environ.get("TF_CONFIG") or "{}"
    try:
        return json.loads(text).get("cluster", {})
    except (ValueError, AttributeError) as error:
        raise ValueError(f"Expected JSON in TF_CONFIG. Received: {text}") from error
