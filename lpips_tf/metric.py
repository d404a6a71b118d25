"""LPIPS, learned perceptual image patch similarity (Zhang et al., CVPR 2018), as a Keras model."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any, NamedTuple, Self, TypedDict

import keras

from lpips_tf._backend.compilation import Compiled
from lpips_tf._backend.execution import at_once, runs_eagerly
from lpips_tf._backend.keras_internals import in_symbolic_scope
from lpips_tf._backend.kernels import portable
from lpips_tf._backend.tensors import values
from lpips_tf._networks import backbones
from lpips_tf._networks.distance import Distance
from lpips_tf._networks.features import Features
from lpips_tf._support.arguments import (
    check_choice,
    check_flag,
    check_share,
    checked_policy,
    checked_source,
    shown,
)
from lpips_tf._support.image_batches import (
    as_array,
    as_rgb,
    check_image_batch,
    check_mask,
    check_same_shape,
)
from lpips_tf._support.range_watch import RangeWatch
from lpips_tf._support.sharing import is_saving
from lpips_tf._support.symbolic import MetricFunction, are_symbolic
from lpips_tf._support.value_ranges import checked_range
from lpips_tf.heads import Head
from lpips_tf.weights import keras_stores, loading


class _Network(NamedTuple):
    backbone: Callable[[keras.DTypePolicy], keras.Model]
    min_size: int  # in pixels: below it the official network fails too


NETWORKS = {
    "alex": _Network(backbones.alexnet, 31),
    "vgg": _Network(backbones.vgg16, 16),
    "squeeze": _Network(backbones.squeezenet, 17),
}
VERSIONS = ("0.1", "0.0")
FIXED = ("net", "version", "lpips", "spatial", "value_range")  # compiled graphs depend on them


class Explanation(NamedTuple):
    """The distance of each pair of images, and where it comes from."""

    distance: Any  # (N,)
    layers: list[Any]  # what each layer adds to the distance, (N,)
    map: Any  # where the images differ, (N, H, W, 1)
    layer_maps: list[Any]  # what each layer adds to the map, (N, H, W, 1)


@keras.saving.register_keras_serializable(package="lpips_tf")
class LPIPS(keras.Model):
    """The perceptual distance between images: 0 if equal, higher if they look more different.

    Deep features of both images are unit-normalised at each position, differenced, squared,
    weighted by heads that were calibrated on human judgements, averaged over positions and summed
    over layers (Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual
    Metric", CVPR 2018, equation 1; `LPIPS.forward` in the official lpips.py).

    Everything is frozen at first, so that a model that holds a metric does not train it by
    accident. To tune, set `metric.backbone.trainable = True`, or `head.trainable = True` for each
    of `metric.heads`.

    Args:
        net: "alex" (fastest; the one to report), "vgg" (the usual choice as a loss), or "squeeze"
            (smallest; its convolutions are downloaded at first use).
        version: "0.1", or "0.0" for the first release, with its own heads and without the scaling
            of inputs.
        lpips: False leaves out the heads: the plain sum over channels, the paper's uncalibrated
            baseline.
        spatial: True gives a map of where the images differ instead of one number.
        value_range: the (lowest, highest) value that float images span. Images of dtype uint8
            always span 0 to 255.
        backbone_weights: "imagenet"; None for random; or the path of a converted file or of a
            torchvision `.pth`.
        head_weights: "bapps", calibrated on the paper's data; None for random, non-negative ones;
            or the path of a converted file or of an lpips `.pth`.
        dropout: share of the squared differences dropped before each trainable head in training.
        name: name of the model.
        dtype: dtype or policy that the backbone computes in, such as "mixed_bfloat16". Everything
            after the backbone is computed in float32, or in float64 for "float64".

    Attributes:
        backbone: `keras.Model` from scaled images to the list of the layers' features.
        heads: list of one `Head` for each layer; empty for `lpips=False`.
        trainable: False freezes the whole metric; True restores what was trainable before.

    Raises:
        ValueError: an unknown `net` or `version`, an empty `value_range`, or weights of another
            network.
        OSError: a weight file is missing or damaged, or SqueezeNet's could not be downloaded.

    Examples:
        >>> metric = lpips_tf.LPIPS()
        >>> metric(references, images)  # (N, H, W, 3), uint8 or in [-1, 1]: (N,) distances
        >>> model.compile(loss=lpips_tf.losses.LPIPS(), metrics=[lpips_tf.metrics.LPIPS()])
    """

    _trainable: bool  # set by Keras

    def __init__(
        self,
        net: str = "alex",
        version: str = "0.1",
        lpips: bool = True,
        spatial: bool = False,
        value_range: tuple[float, float] = (-1, 1),
        backbone_weights: str | os.PathLike[str] | None = "imagenet",
        head_weights: str | os.PathLike[str] | None = "bapps",
        dropout: float = 0.5,
        name: str = "lpips",
        dtype: Any = None,
    ) -> None:
        check_choice("net", net, NETWORKS)
        check_choice("version", version, VERSIONS)
        check_flag("lpips", lpips)
        check_flag("spatial", spatial)
        check_share("dropout", dropout)
        super().__init__(name=name, dtype=checked_policy(dtype), autocast=False)
        self.net = net
        self.version = version
        self.lpips = bool(lpips)  # NumPy's scalars cannot be saved
        self.spatial = bool(spatial)
        self.value_range = checked_range(value_range)
        self.backbone_weights = checked_source("backbone_weights", backbone_weights)
        self.head_weights = checked_source("head_weights", head_weights)
        self.dropout = float(dropout)

        with at_once():
            self._build_parts()
        for part in self._parts():
            part.trainable = False
        self._thawed: frozenset[str] = frozenset()  # what was trainable before all was frozen

        scaled = self.version != "0.0"
        features = Features(self.backbone, scaled, self.value_range, self.compute_dtype)
        self._result_dtype = features.dtype
        distance = Distance(features, self.heads, self.spatial, self.variables)
        self._distances = self._compiled(distance.of_batches)
        self._explanation = self._compiled(distance.explained)
        self._layer_maps = self._compiled(distance.layer_maps)
        self._embedding = self._compiled(distance.embedding)
        self._valid_features = self._compiled(distance.valid_features)
        self._missing_weights: OSError | None = None
        self._range_watch = RangeWatch(self.value_range)
        self.build((None, None, None, 3), (None, None, None, 3))
        self._called = True  # or Keras' `export`, which is content with these shapes, refuses

    def _compiled(self, function: Callable[..., Any]) -> Compiled:
        return Compiled(function, self.variables, self.min_size)

    def _build_parts(self) -> None:
        """Makes the backbone and the heads, with their weights."""
        self.backbone = NETWORKS[self.net].backbone(self.dtype_policy)
        if self.backbone_weights is not None:
            loading.load_backbone(self.backbone, self.net, self.backbone_weights)
        if not self.lpips:
            return
        for name, features in zip(self._head_names(), self.backbone.outputs, strict=True):
            head = Head(features.shape[-1], self.dropout, name=name)
            head.build(features.shape)
            # Attributes of their own: neither TensorFlow's checkpoints nor PyTorch's state
            # dictionaries look into lists.
            setattr(self, name, head)
        if self.head_weights is not None:
            loading.load_heads(self.heads, self.net, self.version, self.head_weights)

    @property
    def heads(self) -> list[Head]:
        """One `Head` for each layer; empty for `lpips=False`."""
        return [getattr(self, name) for name in self._head_names()]

    @property
    def trainable(self) -> bool:
        """Whether the metric may be trained; setting True restores what was trainable before."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        """Freezes everything, or restores what was trainable before.

        A model that holds the metric passes its own flag on, and must not unfreeze what was frozen
        on its own.
        """
        value = bool(value)
        if value == self._trainable:
            return
        parts = self._parts()
        if not value:
            self._thawed = frozenset(part.name for part in parts if part.trainable)
        # Parts that have been made trainable meanwhile stay so.
        flags = [value and (part.trainable or part.name in self._thawed) for part in parts]
        for part, flag in zip(parts, flags, strict=True):
            part.trainable = flag
        self._trainable = value

    def _parts(self) -> list[keras.layers.Layer]:
        """The backbone before its layers: setting its flag sets theirs."""
        return [self.backbone, *self.backbone.layers, *self.heads]

    def _head_names(self) -> list[str]:
        return [f"head{i}" for i in range(len(self.backbone.outputs) if self.lpips else 0)]

    def __call__(
        self,
        in0: Any,
        in1: Any,
        return_per_layer: bool = False,
        training: bool | None = None,
        mask: Any = None,
    ) -> Any:
        """The distance of each pair of images.

        The distance is symmetric, and exactly 0 for equal images (up to rounding where a caller
        compiles by XLA, `jax.jit` or `jit_compile=True`).

        Args:
            in0, in1: images (N, H, W, 3), RGB, of the same shape; uint8, or floats in
                `value_range`. Grey ones (N, H, W, 1) count as three equal channels.
            return_per_layer: also return what each layer adds.
            training: True applies dropout to the squared differences before trainable heads.
            mask: how much each pixel counts, (N, H, W) or (N, H, W, 1); not negative, of any scale.
                In each layer a position counts by the mean of the mask over the area that it
                covers. A mask of ones changes nothing; one without a positive weight gives NaN. The
                features within the mask still see pixels outside of it.

        Returns:
            Distances (N,) in float32 (float64 if that is the metric's dtype), or for `spatial=True`
            maps (N, H, W, 1), each layer's resized bilinearly with half-pixel centres; with
            `return_per_layer` that and the list of the layers' shares, of the same shape.

        Raises:
            ValueError: no images, shapes that differ or are not (N, H, W, 3), sides below the
                network's minimum size (AlexNet 31, VGG 16, SqueezeNet 17), or a dtype that is
                neither uint8 nor floating; a mask of another size or with a weight that is
                negative, NaN or infinite, which within a graph gives NaN.
        """
        # Checked here and not in `call`, whose errors Keras wraps in a page about the layer.
        in0, in1, mask = self._checked_call(in0, in1, return_per_layer, training, mask)
        if return_per_layer and are_symbolic(in0, in1):
            function = MetricFunction(self, "__call__")
            return function([in0, in1], weights=mask, training=training)
        frozen = not any(head.trainable for head in self.heads)
        if frozen and runs_eagerly(in0, in1, mask):
            # Keras' own `__call__` takes half a millisecond to find out whether to drop.
            return self.call(in0, in1, return_per_layer, mask=mask)
        options = {} if mask is None else {"mask": mask}
        return super().__call__(
            in0, in1, return_per_layer=return_per_layer, training=training, **options
        )

    def stateless_call(
        self,
        trainable_variables: Any,
        non_trainable_variables: Any,
        in0: Any,
        in1: Any,
        return_per_layer: bool = False,
        training: bool | None = None,
        mask: Any = None,
        return_losses: bool = False,
    ) -> Any:
        """What a call returns with these values of the variables, and the values after it.

        Keras' own method goes to `call` without the checks of a call.
        """
        in0, in1, mask = self._checked_call(in0, in1, return_per_layer, training, mask)
        return super().stateless_call(
            trainable_variables,
            non_trainable_variables,
            in0,
            in1,
            return_per_layer=return_per_layer,
            training=training,
            mask=mask,
            return_losses=return_losses,
        )

    def call(
        self,
        in0: Any,
        in1: Any,
        return_per_layer: bool = False,
        training: bool | None = None,
        mask: Any = None,
    ) -> Any:
        """Computes what a call of the metric returns, of images that it has checked."""
        ((distance, layers),) = self._distances(in0, in1, mask=mask, **self._drop(training))
        return (distance, layers) if return_per_layer else distance

    def build(self, in0_shape: tuple[int | None, ...], in1_shape: tuple[int | None, ...]) -> None:
        """Does nothing: the constructor has made the weights, which do not depend on the images."""

    def compute_output_shape(
        self, in0_shape: tuple[int | None, ...], in1_shape: tuple[int | None, ...] | None = None
    ) -> tuple[int | None, ...]:
        """(N, H, W, 3) to (N,), or to (N, H, W, 1) for `spatial=True`."""
        return (in0_shape[0], *in0_shape[1:3], 1) if self.spatial else (in0_shape[0],)

    def compute_output_spec(
        self, in0: Any, in1: Any, return_per_layer: bool = False, **options: Any
    ) -> Any:
        """The symbols of what a call returns; Keras makes of a shape one of the policy's dtype."""
        known = zip(in0.shape, in1.shape, strict=True)
        shape = self.compute_output_shape(tuple(b if a is None else a for a, b in known))
        distance, *layers = (
            keras.KerasTensor(shape, self._result_dtype) for _ in (0, *self.backbone.outputs)
        )
        return (distance, layers) if return_per_layer else distance

    def compute_mask(self, inputs: Any, previous_mask: Any) -> None:
        """None: distances carry no Keras mask."""

    def distances(
        self, reference: Any, *images: Any, training: bool | None = None, mask: Any = None
    ) -> list[Any]:
        """Returns the distances of several batches of images from one batch of references.

        The results equal those of a call for each batch, but the backbone runs once per batch:
        three times for a triplet of BAPPS instead of four.

        Args:
            reference: images (N, H, W, 3), as for a call.
            images: batches of that shape.
            training, mask: as for a call.

        Returns:
            A list with the distances or maps of each batch, as a call returns them.

        Raises:
            ValueError: as a call does, or no images.
        """
        if not images:
            raise ValueError("Expected images to compare with the reference. Received: none")
        named = {f"images[{i}]": batch for i, batch in enumerate(images)}
        checked = self._checked(reference=reference, **named)
        mask = None if mask is None else check_mask(mask, checked[0])
        if are_symbolic(*checked):
            function = MetricFunction(self, "distances")
            symbols: list[Any] = function(checked, weights=mask, training=training)
            return symbols
        found = self._distances(*checked, mask=mask, **self._drop(training))
        return [distance for distance, _ in found]

    def maps(self, in0: Any, in1: Any, return_per_layer: bool = False, mask: Any = None) -> Any:
        """Returns maps of where the images differ, whether or not the metric is spatial.

        Args:
            in0, in1: images (N, H, W, 3), as for a call.
            return_per_layer: also return what each layer adds.
            mask: as for a call. A map is multiplied by mask / mean(mask), so it is 0 where the mask
                is 0.

        Returns:
            Maps (N, H, W, 1), each layer's resized bilinearly with half-pixel centres; with
            `return_per_layer` that and the list of the layers' maps.

        Raises:
            ValueError: as a call does.
        """
        check_flag("return_per_layer", return_per_layer)
        found = self._explained(self._checked(in0=in0, in1=in1), mask)
        return (found.map, found.layer_maps) if return_per_layer else found.map

    def explain(self, in0: Any, in1: Any, mask: Any = None) -> Explanation:
        """The distance of each pair of images with its map, in one pass.

        Args:
            in0, in1: images (N, H, W, 3), as for a call.
            mask: as for `maps`.

        Returns:
            An `Explanation` with the distance and what each layer adds to it, (N,), and the map and
            what each layer adds to that, (N, H, W, 1). A spatial metric returns the same.

        Raises:
            ValueError: as a call does.
        """
        return self._explained(self._checked(in0=in0, in1=in1), mask)

    def _explained(self, images: tuple[Any, ...], mask: Any) -> Explanation:
        mask = None if mask is None else check_mask(mask, images[0])
        return Explanation(*self._computed("explain", self._explanation, images, mask))

    def embed(self, images: Any) -> Any:
        """Maps images to vectors whose squared Euclidean distance is LPIPS.

        That is, `‖embed(x) - embed(y)‖² = metric(x, y)`. Each layer's unit-normalised features are
        scaled by the root of head / number of positions, and all are flattened into one vector.

        Args:
            images: (N, H, W, 3), as for a call.

        Returns:
            Embeddings (N, D), of the dtype of distances. D depends on the size of the images; it is
            31,872 with AlexNet at 64x64.

        Raises:
            ValueError: as a call does.
        """
        checked = self._checked(images=images)
        for head in self.heads:
            kernel = values(head.kernel.value)
            if kernel is not None and kernel.min() < 0:
                raise ValueError(
                    "Expected heads without negative weights, or there is no embedding. "
                    f"Received: {head.name} down to {kernel.min()}"
                )
        return self._computed("embed", self._embedding, checked)

    def normalized_features(self, *images: Any) -> list[list[Any]]:
        """The features that a distance compares: every layer's, unit-normalised at each position.

        Args:
            images: batches (N, H, W, 3) of one shape, as for a call.

        Returns:
            For each batch a list with (N, h, w, C) for each layer, of the dtype of distances; NaN
            for an image that has NaN or infinity.

        Raises:
            ValueError: as a call does.
        """
        if not images:
            raise ValueError("Expected images. Received: none")
        named = {f"images[{i}]": batch for i, batch in enumerate(images)}
        checked = self._checked(**named)
        found: list[list[Any]] = self._computed(
            "normalized_features", self._valid_features, checked
        )
        return found

    def layer_maps(self, in0: Any, in1: Any) -> list[Any]:
        """Each layer's share of the distance at its positions, before it is averaged or resized.

        Args:
            in0, in1: images (N, H, W, 3), as for a call.

        Returns:
            For each layer (N, h, w), of the dtype of distances; the mean of each is what the layer
            adds to the distance. NaN for an image that has NaN or infinity.

        Raises:
            ValueError: as a call does.
        """
        checked = self._checked(in0=in0, in1=in1)
        found: list[Any] = self._computed("layer_maps", self._layer_maps, checked)
        return found

    def _drop(self, training: bool | None) -> dict[str, tuple[bool, ...]]:
        """The option that says which heads have dropout before them; empty if none has."""
        drop = tuple(head.drops(training) for head in self.heads)
        return {"drop": drop} if any(drop) else {}

    def _checked_call(
        self, in0: Any, in1: Any, return_per_layer: bool, training: bool | None, mask: Any
    ) -> tuple[Any, Any, Any]:
        """Checks the arguments of a call, and returns (in0, in1, mask)."""
        check_flag("return_per_layer", return_per_layer)
        if training is not None:
            check_flag("training", training)
        in0, in1 = self._checked(4, in0=in0, in1=in1)
        return in0, in1, None if mask is None else check_mask(mask, in0)

    def _checked(self, stacklevel: int = 3, **images: Any) -> tuple[Any, ...]:
        """Checks the images' shapes, dtypes and at first their range, and returns them.

        A warning names the line of the caller that is `stacklevel` - 1 calls above `_checked`.
        """
        symbols = are_symbolic(*images.values()) or in_symbolic_scope()  # which need no weights
        if self._missing_weights is not None and not symbols:
            raise self._missing_weights
        arrays = {name: as_rgb(as_array(image)) for name, image in images.items()}
        for name, array in arrays.items():
            check_image_batch(name, array, f"net={self.net!r}", self.min_size, self.value_range)
        check_same_shape(**arrays)
        self._range_watch.look(stacklevel, **arrays)
        return tuple(arrays.values())

    def _computed(
        self, function: str, compiled: Compiled, images: tuple[Any, ...], mask: Any = None
    ) -> Any:
        """Runs `compiled` on checked images, or the `function` as a layer on symbols."""
        if are_symbolic(*images):
            return MetricFunction(self, function)(images, weights=mask)
        return compiled(*images, mask=mask)

    @portable()
    def export(
        self,
        filepath: str | os.PathLike[str],
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
        **options: Any,
    ) -> None:
        """Keras' `export`, with the signature of `lpips_tf.export.export_saved_model`.

        A SavedModel under TensorFlow takes "in0" and "in1", float images (N, H, W, 3) in
        `value_range`, to "distance"; other formats, backends and signatures are Keras' own. The
        arguments are those of `keras.Model.export`.
        """
        usual = format == "tf_saved_model" and keras.backend.backend() == "tensorflow"
        if not usual or input_signature is not None:
            super().export(filepath, format, verbose, input_signature, **options)
            return
        archive = keras.export.ExportArchive()
        archive.track(self)
        images = keras.InputSpec(shape=(None, None, None, 3), dtype="float32")
        archive.add_endpoint(
            "serve", lambda in0, in1: {"distance": self(in0, in1)}, [images, images]
        )
        archive.write_out(str(filepath), verbose=verbose is None or verbose)

    @property
    def min_size(self) -> int:
        """The smallest height and width in pixels that the network takes."""
        return NETWORKS[self.net].min_size

    def __dir__(self) -> list[str]:
        # Keras' saving walks through these. `save_own_variables` saves the backbone and the heads.
        hidden = ("backbone", "heads", "layers", *self._head_names())
        return [name for name in super().__dir__() if name not in hidden]

    def save_own_variables(self, store: Any) -> None:
        """Saves weights; those that come with the package, by name only."""
        keras_stores.save(self, store)

    def load_own_variables(self, store: Any) -> None:
        """Loads what `save_own_variables` saved.

        Where weights that were saved by name cannot be had, the metric's next use raises the error.
        """
        self._missing_weights = keras_stores.load(self, store)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in FIXED and hasattr(self, "_distances"):
            raise AttributeError(f"{name} cannot be changed; give it to a new LPIPS")
        super().__setattr__(name, value)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, and what is trainable or frozen, for Keras to save."""
        config = {name: getattr(self, name) for name in inspect.signature(LPIPS).parameters}
        config["dtype"] = super().get_config()["dtype"]
        trainable = [
            part.name
            for part in self._parts()[1:]
            if part.weights and (part.trainable or part.name in self._thawed)
        ]
        config |= {"trainable": trainable} if trainable else {}
        # Keras saves no weights of metrics in `compile(metrics=…)`.
        mark = keras_stores.fingerprint(self) if is_saving() else None
        config |= {"fingerprint": mark} if mark else {}
        return config | ({} if self.trainable else {"frozen": True})

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The metric that `get_config` describes."""
        config = dict(config)
        trainable, frozen = config.pop("trainable", []), config.pop("frozen", False)
        mark = config.pop("fingerprint", None)
        metric = cls._from_constructor(config)
        backbone, *layers = metric._parts()
        backbone.trainable = not {layer.name for layer in backbone.layers}.isdisjoint(trainable)
        for layer in layers:
            layer.trainable = layer.name in trainable
        metric.trainable = not frozen
        if mark and mark != keras_stores.fingerprint(metric):
            metric._missing_weights = OSError(  # until Keras loads them
                f"Expected the weights that {metric.name!r} had when it was saved. The file lacks "
                "them, as Keras saves no weights of metrics: share the metric with a loss "
                "(metric=), or name files of its weights (backbone_weights=, head_weights=)"
            )
        return metric

    @classmethod
    def _from_constructor(cls, config: dict[str, Any]) -> Self:
        try:
            return cls(**config)
        except OSError as error:
            # A saved model carries its weights, and may be loaded where the files that they came
            # from are missing. Until its weights are loaded, the metric raises the error.
            metric = cls(**(config | {"backbone_weights": None, "head_weights": None}))
            metric.backbone_weights = config["backbone_weights"]
            metric.head_weights = config["head_weights"]
            metric._missing_weights = error
            return metric


class Options(TypedDict, total=False):
    """Arguments of `LPIPS`, for what makes one: losses, metrics."""

    version: str
    lpips: bool
    spatial: bool
    value_range: tuple[float, float]
    backbone_weights: str | os.PathLike[str] | None
    head_weights: str | os.PathLike[str] | None
    dropout: float


def made_or_given(
    metric: LPIPS | None, net: str | None, default_net: str, dtype: Any, options: Options
) -> LPIPS:
    """The metric that was given, or a new one of these arguments.

    Raises:
        ValueError: both were given, or what the constructor of `LPIPS` refuses.
    """
    if metric is None:
        return LPIPS(net or default_net, dtype=dtype, **options)
    check_metric(metric)
    others = {"net": net, "dtype": dtype} | options
    if given := [name for name, value in others.items() if name in options or value is not None]:
        raise ValueError(
            f"Expected metric= without other arguments of the metric. Received: {', '.join(given)}"
        )
    return metric


def check_metric(metric: Any) -> None:
    """Raises ValueError for a `metric` that is no `LPIPS`."""
    if not isinstance(metric, LPIPS):
        raise ValueError(f"Expected an lpips_tf.LPIPS. Received: {shown(metric)}")
