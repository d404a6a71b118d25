"""Saves metrics so that Keras' objects that share one share it again once they are loaded."""

from __future__ import annotations

from typing import Any, Self

import keras

from lpips_tf._backend.keras_internals import global_state

SAVED = "shared_objects/id_to_config_map"  # Keras' attribute for what a file has so far


def is_saving() -> bool:
    """Whether Keras writes the configuration of a model to a file."""
    return global_state.get_global_attribute(SAVED) is not None


def serialized(metric: keras.Model) -> dict[str, Any]:
    """The metric as Keras saves it, for the configuration of an object that holds it.

    In a file it is marked as shared from the start. Keras marks an object only when it meets it a
    second time, and then changes a dictionary that has been copied already.
    """
    config: dict[str, Any] = keras.saving.serialize_keras_object(metric)
    if is_saving():
        config["shared_object_id"] = id(metric)
    return config


class HoldsMetric:
    """Builds Keras' objects from configurations that have a `serialized` metric."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The object that `get_config` describes."""
        metric = keras.saving.deserialize_keras_object(config["metric"])
        return cls(**(config | {"metric": metric}))
