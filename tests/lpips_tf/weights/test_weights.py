"""LPIPS finds, checks and loads weights."""

import numpy as np
import pytest
import torch_files
from checking import numbers

import lpips_tf
from lpips_tf.weights import weight_files
from lpips_tf.weights.torch_checkpoints import BACKBONE_LAYERS, HEAD_CHANNELS
from lpips_tf.weights.weight_files import Weights

rng = np.random.default_rng(0)


@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_checkpoints_load_directly(tmp_path, net):
    backbone, heads = torch_files.backbone_state(net), torch_files.head_tensors(net)
    metric = lpips_tf.LPIPS(
        net,
        backbone_weights=str(torch_files.save(tmp_path / "net.pth", backbone)),
        head_weights=torch_files.save(tmp_path / "heads.pth", heads),
    )
    for key, name in BACKBONE_LAYERS[net].items():
        kernel = numbers(metric.backbone.get_layer(name).kernel)
        np.testing.assert_array_equal(
            kernel.transpose(3, 2, 0, 1), backbone[f"features.{key}.weight"]
        )
    for head, tensor in zip(metric.heads, heads.values(), strict=True):
        np.testing.assert_array_equal(numbers(head.kernel), tensor.ravel())


def test_converted_heads_load(tmp_path):
    arrays = {f"head{i}/kernel": rng.random(c, "f4") for i, c in enumerate(HEAD_CHANNELS["alex"])}
    weight_files.write(tmp_path / "a.h5", Weights("heads", "alex", arrays, version="0.1"))
    metric = lpips_tf.LPIPS(head_weights=tmp_path / "a.h5")
    np.testing.assert_array_equal(numbers(metric.heads[3].kernel), arrays["head3/kernel"])


def test_packaged_heads_of_another_network_are_refused():
    path = weight_files.Path(lpips_tf.__file__).parent / "weights" / "vgg_bapps_0.1.h5"
    with pytest.raises(ValueError, match=r"heads weights of net='alex'\. .*of net='vgg'"):
        lpips_tf.LPIPS(net="alex", head_weights=path)


def test_pytorchs_heads_of_another_network_are_refused(tmp_path):
    path = torch_files.save(tmp_path / "squeeze.pth", torch_files.head_tensors("squeeze"))
    with pytest.raises(ValueError, match=r"net='vgg'.*squeeze\.pth.*net='squeeze'"):
        lpips_tf.LPIPS(net="vgg", head_weights=path)


def test_heads_of_another_version_are_refused():
    path = weight_files.Path(lpips_tf.__file__).parent / "weights" / "alex_bapps_0.0.h5"
    with pytest.raises(ValueError, match=r"version='0\.1'.*version='0\.0'"):
        lpips_tf.LPIPS(head_weights=path)
    assert lpips_tf.LPIPS(version="0.0", head_weights=path).heads


def test_heads_in_place_of_a_backbone_are_refused():
    path = weight_files.Path(lpips_tf.__file__).parent / "weights" / "alex_bapps_0.1.h5"
    with pytest.raises(ValueError, match=r"Expected backbone weights.*with heads weights"):
        lpips_tf.LPIPS(backbone_weights=path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("head2/kernel"), r"head2/kernel of shape \(384,\).*it is missing"),
        (lambda a: a.update({"head2/kernel": np.ones(3, "f4")}), r"\(384,\).*shape \(3,\)"),
        (lambda a: a.update({"head9/kernel": np.ones(3, "f4")}), r"head9/kernel.*no such array"),
        (lambda a: a["head1/kernel"].fill(np.nan), "NaN or infinity in head1/kernel"),
        (
            lambda a: a["head1/kernel"].fill(-1),
            r"without negative weights.*head1/kernel down to -1",
        ),
    ],
)
def test_a_wrong_array_is_refused_by_name(tmp_path, change, message):
    arrays = {f"head{i}/kernel": rng.random(c, "f4") for i, c in enumerate(HEAD_CHANNELS["alex"])}
    change(arrays)
    weight_files.write(tmp_path / "a.h5", Weights("heads", "alex", arrays))
    with pytest.raises(ValueError, match=message):
        lpips_tf.LPIPS(head_weights=tmp_path / "a.h5")


def test_weights_that_cannot_be_read_are_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is none at"):
        lpips_tf.LPIPS(backbone_weights=tmp_path / "none.pth")
    (tmp_path / "bad.pth").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(OSError, match=r"Cannot read .*bad\.pth"):
        lpips_tf.LPIPS(backbone_weights=tmp_path / "bad.pth")
    with pytest.raises(IsADirectoryError, match="Received a folder"):
        lpips_tf.LPIPS(backbone_weights=tmp_path)
