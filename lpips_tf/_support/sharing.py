"""Saves metrics so that Keras' objects that share one share it again once they are loaded."""

from __future__ import annotations

from typing import Any

import keras
from keras.src.backend.common import global_state

SAVED = "shared_objects/id_to_config_map"  # Keras' attribute for what a file has so far


def is_saving() -> bool:
    """Whether Keras writes the configuration of a model to a file."""
    return global_state.get_global_attribute(SAVED) is not None


def serialized(metric: keras.Model) -> dict[str, Any]:
    """The metric as Keras saves it, for the configuration of an object that holds it.

    Keras itself marks an object as shared when it meets it again, and marks the first one late:
    in a dictionary that has been copied meanwhile.
    """
    config: dict[str, Any] = keras.saving.serialize_keras_object(metric)
    if is_saving():
        config["shared_object_id"] = id(metric)
    return config


def deserialized(config: dict[str, Any]) -> keras.Model:
    """The metric that `serialized` saved."""
    metric: keras.Model = keras.saving.deserialize_keras_object(config)
    return metric
