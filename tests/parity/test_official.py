"""Live comparison with the official PyTorch implementation, on images and weights of any kind."""

import functools

import numpy as np
import pytest
from benchmarks import official
from benchmarks.gradients import gradient
from checking import numbers
from keras import ops

import lpips_tf

if not official.INSTALLED:
    pytest.skip("PyTorch and lpips are not installed (the extra `parity`)", allow_module_level=True)

import torch

SIZES = {"alex": [(31, 31), (64, 47), (127, 200)], "vgg": [(16, 16), (33, 50), (97, 64)],
         "squeeze": [(17, 17), (18, 20), (63, 34), (128, 97)]}  # fmt: skip
OTHERS = [{"version": "0.0"}, {"lpips": False}]
CASES = [(net, size) for net, sizes in SIZES.items() for size in sizes]


@pytest.fixture(scope="module")
def same(tmp_path_factory):
    """`same(net, **options)`: the official metric with random convolutions, and ours with the state
    dict that it saves.
    """

    @functools.cache
    def build(net, value_range=(-1, 1), **options):
        theirs = official.random_metric(net, **options)
        path = tmp_path_factory.mktemp("official") / "net.pth"
        torch.save(theirs.state_dict(), path)
        heads = path if options.get("lpips", True) else None
        return theirs, lpips_tf.LPIPS(
            net=net, value_range=value_range, backbone_weights=path, head_weights=heads, **options
        )

    return build


def images(size, count=3):
    rng = np.random.default_rng(sum(size))
    x = rng.integers(0, 256, (count, *size, 3), "uint8")
    y = np.clip(x + rng.normal(0, 30, x.shape), 0, 255).astype("uint8")
    return x, y


def assert_close(received, expected):
    np.testing.assert_allclose(numbers(received), expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("net", "size", "options"),
    [*((*case, {}) for case in CASES),
     *((net, sizes[1], other) for net, sizes in SIZES.items() for other in OTHERS)],
    ids=str,
)  # fmt: skip
def test_distances_and_layers_equal_the_official_ones(same, net, size, options):
    theirs, ours = same(net, **options)
    x, y = images(size)
    with torch.no_grad():
        expected, layers = theirs(official.to_nchw(x), official.to_nchw(y), retPerLayer=True)
    distance, shares = ours(x, y, return_per_layer=True)
    assert_close(distance, expected.numpy().ravel())
    for share, layer in zip(shares, layers, strict=True):
        assert_close(share, layer.numpy().ravel())


@pytest.mark.parametrize(("net", "size"), CASES)
def test_maps_equal_the_official_ones(same, net, size):
    theirs, ours = same(net, spatial=True)
    x, y = images(size)
    with torch.no_grad():
        expected = theirs(official.to_nchw(x), official.to_nchw(y)).numpy()
    assert_close(ours(x, y), expected.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("net", SIZES)
def test_masked_distances_are_weighted_means_of_the_official_maps(same, net):
    """Of each layer's map, as the official implementation has it before it averages."""
    theirs, ours = same(net)
    x, y = images(SIZES[net][1])
    mask = np.random.default_rng(1).exponential(1, x.shape[:3]) ** 2
    mask[:, :10, :12] = 0
    maps = []
    hooks = [
        lin.register_forward_hook(lambda module, inputs, output: maps.append(output.numpy()[:, 0]))
        for lin in theirs.lins
    ]
    with torch.no_grad():
        theirs(official.to_nchw(x), official.to_nchw(y))
    for hook in hooks:
        hook.remove()
    _, layers = ours(x, y, return_per_layer=True, mask=mask)
    for found, values in zip(layers, maps, strict=True):
        count, rows, columns = values.shape
        fine = mask.repeat(rows, 1).repeat(columns, 2)  # whose blocks are a position's area
        weights = fine.reshape(count, rows, x.shape[1], columns, x.shape[2]).mean((2, 4))
        assert_close(found, (weights * values).sum((1, 2)) / weights.sum((1, 2)))


@pytest.mark.parametrize(
    ("net", "size"), [(net, size) for net, sizes in SIZES.items() for size in sizes[:2]]
)
def test_gradients_equal_the_official_ones(same, net, size):
    theirs, ours = same(net)
    x, y = (official.to_nchw(image) for image in images(size))
    y.requires_grad_(True)
    theirs(x, y).sum().backward()
    expected = y.grad.numpy().transpose(0, 2, 3, 1)
    x, y = (image.detach().numpy().transpose(0, 2, 3, 1) for image in (x, y))
    received = gradient(lambda image: ops.sum(ours(x, image)), np.ascontiguousarray(y))
    # Rounding decides where inputs of a max-pool or ReLU are almost equal, and what lies in the
    # receptive field of such a place then differs by more than rounding; VGG has such places.
    assert np.abs(received - expected).max() <= 1e-2 * np.abs(expected).max()
    assert np.linalg.norm(received - expected) <= 1e-2 * np.linalg.norm(expected)


def test_normalize_is_value_range_of_zero_to_one(same):
    theirs, ours = same("alex", value_range=(0, 1))
    x, y = (image / np.float32(255) for image in images((64, 64)))
    with torch.no_grad():
        tensors = (torch.from_numpy(image.transpose(0, 3, 1, 2).copy()) for image in (x, y))
        expected = theirs(*tensors, normalize=True)
    assert_close(ours(x, y), expected.numpy().ravel())


@pytest.mark.parametrize("net", ["alex", "vgg", "squeeze"])
@pytest.mark.parametrize("version", ["0.1", "0.0"])
def test_packaged_heads_are_the_official_ones(net, version):
    metric = lpips_tf.LPIPS(net, version, backbone_weights=None)
    for head, official_head in zip(
        metric.heads, official.random_metric(net, version=version).lins, strict=True
    ):
        expected = official_head.model[-1].weight.detach().numpy().ravel()
        np.testing.assert_array_equal(numbers(head.kernel), expected)
