"""SqueezeNet's convolutions are fetched once, checked, converted and kept."""

import hashlib

import numpy as np
import pytest
import torch_files
from checking import numbers
from local_server import serving

import lpips_tf
from lpips_tf.weights import downloads

NAME = "squeezenet1_1-test.pth"


@pytest.fixture(scope="module")
def state():
    return torch_files.backbone_state("squeeze")


@pytest.fixture(scope="module")
def checkpoint(state, tmp_path_factory):
    path = torch_files.save(tmp_path_factory.mktemp("pth") / "squeezenet.pth", state)
    return path.read_bytes()


@pytest.fixture
def server(checkpoint, monkeypatch, tmp_path):
    with serving() as server:
        server.files[NAME] = checkpoint
        monkeypatch.setattr(downloads, "SQUEEZENET_URL", server.url + NAME)
        monkeypatch.setattr(downloads, "SQUEEZENET_SHA256", hashlib.sha256(checkpoint).hexdigest())
        monkeypatch.setenv("LPIPS_TF_HOME", str(tmp_path / "home"))
        yield server


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def test_weights_are_fetched_once_and_kept_converted(server, home, state, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    metric = lpips_tf.LPIPS(net="squeeze")
    lpips_tf.LPIPS(net="squeeze")
    assert len(server.requests) == 1
    assert [path.name for path in home.iterdir()] == ["squeeze_imagenet.h5"]
    kernel = numbers(metric.backbone.get_layer("fire9_expand3x3").kernel)
    np.testing.assert_array_equal(
        kernel.transpose(3, 2, 0, 1), state["features.12.expand3x3.weight"]
    )
    out, err = capsys.readouterr()
    assert out == ""  # the progress bar goes to standard error
    assert "Downloading data from" in err


def test_no_request_when_kept_or_given(server, tmp_path, checkpoint):
    path = tmp_path / "net.pth"
    path.write_bytes(checkpoint)
    lpips_tf.LPIPS(net="squeeze", backbone_weights=path)
    lpips_tf.LPIPS(net="squeeze", backbone_weights=None)
    assert len(server.requests) == 0


def test_a_download_prints_nothing_without_a_terminal(server, capsys):
    lpips_tf.LPIPS(net="squeeze")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("damage", ["cut", "cut silently", "corrupt", "missing"])
def test_a_bad_download_leaves_nothing_and_is_tried_again(server, home, checkpoint, damage):
    files = {
        "cut": checkpoint[: len(checkpoint) // 2],
        "cut silently": checkpoint[: len(checkpoint) // 2],
        "corrupt": checkpoint[:5000] + b"?" + checkpoint[5001:],
        "missing": None,
    }
    server.files[NAME] = files[damage]
    server.announced = len(checkpoint) if damage == "cut" else None
    with pytest.raises(OSError, match=r"Cannot download SqueezeNet's weights: .*sha256"):
        lpips_tf.LPIPS(net="squeeze")
    assert list(home.iterdir()) == []
    server.files[NAME], server.announced = checkpoint, None
    lpips_tf.LPIPS(net="squeeze")
    assert len(server.requests) == 2


def test_without_a_network_the_error_says_what_to_do(server, home):
    server.shutdown()
    server.server_close()
    with pytest.raises(OSError, match=r"Without internet access.*backbone_weights=") as caught:
        lpips_tf.LPIPS(net="squeeze")
    assert server.url in str(caught.value)
    assert list(home.iterdir()) == []


def test_a_kept_file_that_is_damaged_is_fetched_again(server, home):
    home.mkdir()
    packaged = downloads.Path(lpips_tf.__file__).parent / "weights"
    others = [b"half of a file", (packaged / "squeeze_bapps_0.1.h5").read_bytes()]
    for requests, content in enumerate(others, 1):
        (home / "squeeze_imagenet.h5").write_bytes(content)
        lpips_tf.LPIPS(net="squeeze")
        assert len(server.requests) == requests


def test_a_home_that_cannot_be_written_is_told_before_the_download(server, home, monkeypatch):
    home.write_text("a file where the folder should be")
    with pytest.raises(OSError, match=r"Cannot keep .*home: .*Set LPIPS_TF_HOME"):
        lpips_tf.LPIPS(net="squeeze")
    assert len(server.requests) == 0


def test_the_home_is_lpips_tf_home_or_lies_in_that_of_keras(monkeypatch, tmp_path):
    monkeypatch.setenv("LPIPS_TF_HOME", str(tmp_path))
    assert downloads.home() == tmp_path
    monkeypatch.delenv("LPIPS_TF_HOME")
    monkeypatch.delenv("KERAS_HOME", raising=False)
    assert downloads.home() == downloads.Path.home() / ".keras" / "lpips_tf"
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert downloads.home() == tmp_path / "lpips_tf"


def test_the_real_address_is_torchvisions():
    """torchvision names the file after the first digits of its sha256."""
    assert downloads.SQUEEZENET_URL.endswith(f"squeezenet1_1-{downloads.SQUEEZENET_SHA256[:8]}.pth")
