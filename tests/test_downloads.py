"""SqueezeNet's convolutions are fetched once, checked, converted and kept."""

import hashlib
import http.server
import threading

import numpy as np
import pytest
import torch_files
from conftest import numbers
from test_weights import backbone_state

import lpips_tf
from lpips_tf import downloads


class Server(http.server.ThreadingHTTPServer):
    """Serves `content` at any address; `announced` is the length that it claims to have."""

    def __init__(self):
        self.content, self.announced, self.requests = b"", None, 0
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/squeezenet1_1-test.pth"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests += 1
        self.send_response(200 if self.server.content else 404)
        self.send_header("Content-Length", self.server.announced or len(self.server.content))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def state():
    return backbone_state("squeeze")


@pytest.fixture(scope="module")
def checkpoint(state, tmp_path_factory):
    path = torch_files.save(tmp_path_factory.mktemp("pth") / "squeezenet.pth", state)
    return path.read_bytes()


@pytest.fixture
def server(checkpoint, monkeypatch, tmp_path):
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.content = checkpoint
        monkeypatch.setattr(downloads, "SQUEEZENET_URL", server.url)
        monkeypatch.setattr(downloads, "SQUEEZENET_SHA256", hashlib.sha256(checkpoint).hexdigest())
        monkeypatch.setenv("LPIPS_TF_HOME", str(tmp_path / "home"))
        yield server
        server.shutdown()


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def test_fetched_once_and_kept_converted(server, home, state, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    metric = lpips_tf.LPIPS(net="squeeze")
    lpips_tf.LPIPS(net="squeeze")
    assert server.requests == 1
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
    assert server.requests == 0


def test_quiet_without_a_terminal(server, capsys):
    lpips_tf.LPIPS(net="squeeze")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("damage", ["cut", "cut silently", "corrupt", "missing"])
def test_bad_download_leaves_nothing_and_is_tried_again(server, home, checkpoint, damage):
    server.content = {
        "cut": checkpoint[: len(checkpoint) // 2],
        "cut silently": checkpoint[: len(checkpoint) // 2],
        "corrupt": checkpoint[:5000] + b"?" + checkpoint[5001:],
        "missing": b"",
    }[damage]
    server.announced = len(checkpoint) if damage == "cut" else None
    with pytest.raises(OSError, match=r"Cannot download SqueezeNet's weights: .*sha256"):
        lpips_tf.LPIPS(net="squeeze")
    assert list(home.iterdir()) == []
    server.content, server.announced = checkpoint, None
    lpips_tf.LPIPS(net="squeeze")
    assert server.requests == 2


def test_no_network(server, home):
    server.shutdown()
    server.server_close()
    with pytest.raises(OSError, match=r"Without a network.*backbone_weights=") as caught:
        lpips_tf.LPIPS(net="squeeze")
    assert server.url in str(caught.value)
    assert list(home.iterdir()) == []


def test_damaged_kept_file_is_fetched_again(server, home):
    home.mkdir()
    packaged = downloads.Path(lpips_tf.__file__).parent / "weights"
    others = [b"half of a file", (packaged / "squeeze_bapps_0.1.h5").read_bytes()]
    for requests, content in enumerate(others, 1):
        (home / "squeeze_imagenet.h5").write_bytes(content)
        lpips_tf.LPIPS(net="squeeze")
        assert server.requests == requests


def test_unwritable_home(server, home, monkeypatch):
    home.write_text("a file where the folder should be")
    with pytest.raises(OSError, match=r"Cannot keep .*home: .*Set LPIPS_TF_HOME"):
        lpips_tf.LPIPS(net="squeeze")
    assert server.requests == 0


def test_home(monkeypatch, tmp_path):
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
