"""Compares the features of images: distances, maps and embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from keras import ops

from lpips_tf._backend.compilation import CompiledByJax
from lpips_tf._backend.tensors import mean_over_positions, resize_bilinear
from lpips_tf._networks.features import Features
from lpips_tf._networks.masks import Masks
from lpips_tf.heads import Head


class Distance:
    """Functions of batches of images (N, H, W, 3) that `LPIPS` offers, without its checks.

    A distance is the sum over layers of the mean over positions of the weighted squared differences
    (Zhang et al., CVPR 2018, equation 1; `LPIPS.forward` in the official lpips.py). Within a graph
    the functions are a part of it.

    Args:
        features: from batches of images to their unit-normalised features.
        heads: one for each layer; none for the plain sum over channels.
        spatial: whether a distance is a map instead of a number.
        variables: list of the `keras.Variable`s of features and heads.
    """

    def __init__(
        self, features: Features, heads: Sequence[Head], spatial: bool, variables: list[Any]
    ) -> None:
        self._features = features
        self._heads = heads
        self._spatial = spatial
        self._compare = CompiledByJax(self._of_pair, variables)
        self._explain = CompiledByJax(self._explained_pair, variables)

    def of_batches(
        self, *batches: Any, mask: Any = None, **drop: tuple[bool, ...]
    ) -> list[tuple[Any, list[Any]]]:
        """The distances of every other batch from the first one, and what each layer adds."""
        (reference, features0), *others = zip(batches, self._features(*batches), strict=True)
        return [
            self._compare(reference, images, features0, features1, mask, **drop)
            for images, features1 in others
        ]

    def _of_pair(
        self,
        in0: Any,
        in1: Any,
        features0: list[Any],
        features1: list[Any],
        mask: Any,
        drop: tuple[bool, ...] = (),
    ) -> tuple[Any, list[Any]]:
        """(distance, what each layer adds): numbers (N,), or maps (N, H, W, 1)."""
        valid, masks = self._features.validity(in0, in1), self._masks(mask)
        layers = []
        for i, squares in _squared_differences(features0, features1):
            if any(drop[i : i + 1]):
                squares = self._heads[i].drop(squares)
            if self._spatial:
                layers.append(self._map(i, squares, in0, masks, valid))
            else:
                layers.append(self._share(i, squares, masks, valid))
        return _sum(layers), layers

    def explained(
        self, in0: Any, in1: Any, mask: Any = None
    ) -> tuple[Any, list[Any], Any, list[Any]]:
        """(distance, what each layer adds, map, what each layer adds to that)."""
        explained: tuple[Any, list[Any], Any, list[Any]]
        explained = self._explain(in0, in1, *self._features(in0, in1), mask)
        return explained

    def _explained_pair(
        self, in0: Any, in1: Any, features0: list[Any], features1: list[Any], mask: Any
    ) -> tuple[Any, list[Any], Any, list[Any]]:
        valid, masks = self._features.validity(in0, in1), self._masks(mask)
        layers, maps = [], []
        for i, squares in _squared_differences(features0, features1):
            layers.append(self._share(i, squares, masks, valid))
            maps.append(self._map(i, squares, in0, masks, valid))
        return _sum(layers), layers, _sum(maps), maps

    def layer_maps(self, in0: Any, in1: Any) -> list[Any]:
        """Each layer's share of the distance at its own positions, (N, h, w)."""
        valid = self._features.validity(in0, in1)
        squared = _squared_differences(*self._features(in0, in1))
        return [self._weighted(i, squares * valid)[..., 0] for i, squares in squared]

    def embedding(self, images: Any) -> Any:
        """Vectors (N, D) whose squared Euclidean distance is the distance."""
        parts = []
        valid = self._features.validity(images)
        (layers,) = self._features(images)
        for i, features in enumerate(layers):
            count, height, width, channels = ops.shape(features)
            positions = ops.cast(height * width, features.dtype)
            weight = self._heads[i].kernel if self._heads else ops.ones(channels)
            weight = ops.cast(weight, features.dtype)
            scaled = features * (valid * ops.sqrt(weight / positions))
            parts.append(ops.reshape(scaled, (count, height * width * channels)))
        return ops.concatenate(parts, axis=1)

    def valid_features(self, *batches: Any) -> list[list[Any]]:
        """The features, with NaN for images that have no right distance."""
        return [
            [layer * self._features.validity(images) for layer in features]
            for images, features in zip(batches, self._features(*batches), strict=True)
        ]

    def _masks(self, mask: Any) -> Masks | None:
        return None if mask is None else Masks(mask, self._features.dtype)

    def _share(self, i: int, squares: Any, masks: Masks | None, valid: Any) -> Any:
        """Layer i's share of the distance, (N,).

        Averaging first leaves the head less to do; both are linear.
        """
        if masks:
            squares = squares * masks.weights(ops.shape(squares)[1:3])
        share = self._weighted(i, mean_over_positions(squares)) * valid
        return ops.reshape(masks.nan_unless_valid(share) if masks else share, (-1,))

    def _map(self, i: int, squares: Any, images: Any, masks: Masks | None, valid: Any) -> Any:
        """Layer i's share of the distance at each pixel, (N, H, W, 1)."""
        share = resize_bilinear(self._weighted(i, squares), ops.shape(images)[1:3]) * valid
        return masks.nan_unless_valid(share * masks.pixel_weights()) if masks else share

    def _weighted(self, i: int, squares: Any) -> Any:
        """Squared differences of layer i, (…, C), summed over the channels by their weights."""
        return self._heads[i](squares) if self._heads else ops.sum(squares, axis=-1, keepdims=True)


def _squared_differences(features0: list[Any], features1: list[Any]) -> Iterator[tuple[int, Any]]:
    """Pairs of a layer's number and its (N, h, w, C), one layer at a time."""
    for i, (layer0, layer1) in enumerate(zip(features0, features1, strict=True)):
        yield i, ops.square(layer0 - layer1)


def _sum(layers: list[Any]) -> Any:
    return sum(layers[1:], start=layers[0])
