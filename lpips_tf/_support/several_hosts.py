"""Keras' `fit` and `evaluate` on several hosts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras


class FitsOnHosts(keras.Model):
    """A model that `fit` and `evaluate` take on several hosts as well.

    Keras' own step fails under TensorFlow's `MultiWorkerMirroredStrategy`: it averages what each
    host reports as if that were a batch.

    Results are the metrics of the whole batch, on every host. The layers are to be built before
    `fit`, and `steps_per_execution` is 1.
    """

    train_function: Any  # None until it is made, as the next
    test_function: Any

    def make_train_function(self, force: bool = False) -> Any:
        """The function that `fit` calls with an iterator of batches; made once unless `force`."""
        if not self._has_several_hosts():
            return super().make_train_function(force)
        if force or self.train_function is None:
            self.train_function = self._on_all_hosts(self.train_step)
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        """The function that `evaluate` calls, as `make_train_function`."""
        if not self._has_several_hosts():
            return super().make_test_function(force)
        if force or self.test_function is None:
            self.test_function = self._on_all_hosts(self.test_step)
        return self.test_function

    def _on_all_hosts(self, step: Callable[..., Any]) -> Any:
        import tensorflow as tf

        @tf.function(autograph=False)
        def function(iterator: Any) -> Any:
            self.distribute_strategy.run(step, args=(iterator.get_next(),))
            return self.get_metrics_result()

        return function

    def _has_several_hosts(self) -> bool:
        if keras.backend.backend() != "tensorflow":
            return False
        import tensorflow as tf

        return isinstance(self.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        # Keras looks at a batch here to build layers, and cannot make one of several hosts' parts.
        if not self._has_several_hosts():
            super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)
