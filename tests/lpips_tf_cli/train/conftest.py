"""Synthetic data sets, trainings in this process, and a finished run to start from."""

import contextlib
import io
import shutil

import pytest
import tensorflow_datasets as tfds
from benchmarks.synthetic_bapps import write_photographs
from programs import exit_code
from training_runs import arguments

from lpips_tf_cli import main
from tfds_bapps import tree

COUNTS = dict.fromkeys(tree.splits("2afc"), 1) | {
    "train_traditional": 33, "train_cnn": 12, "val_cnn": 7
}  # fmt: skip


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """An unpacked tree of 2AFC."""
    root = tmp_path_factory.mktemp("bapps")
    for seed, (split, count) in enumerate(COUNTS.items()):
        write_photographs(root, "2afc", split, count, seed)
    return root


@pytest.fixture(scope="session")
def prepared(root, tmp_path_factory):
    """What TFDS prepares of it."""
    folder = tmp_path_factory.mktemp("prepared")
    config = tfds.download.DownloadConfig(manual_dir=root)
    tfds.builder("bapps/2afc", data_dir=folder).download_and_prepare(download_config=config)
    return folder


@pytest.fixture
def train(run, root, tmp_path, monkeypatch):
    """`train(output, *options)`: code, output, errors of a training in this process."""
    monkeypatch.setenv("LPIPS_TF_HOME", str(tmp_path / "home"))
    return lambda output, *others: run("train", *arguments(root, output, *others))


@pytest.fixture(scope="session")
def trained(root, tmp_path_factory):
    """`trained(*options)`: the folder of a finished run, standard output and standard error. Each
    is trained once; do not change it.
    """
    kept = {}

    def train(*options):
        if options in kept:
            return kept[options]
        output = tmp_path_factory.mktemp("trained") / "run"
        out, err = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            patch.setenv("LPIPS_TF_HOME", str(output.parent))
            code = exit_code(main.main, "train", *arguments(root, output, *options))
        printed = [stream.buffer.getvalue().decode() for stream in (out, err)]
        assert code == 0, printed
        kept[options] = output, *printed
        return kept[options]

    return train


@pytest.fixture
def finished(trained, tmp_path):
    """A copy of a finished run on cached features, with its cache where `train` looks for it."""
    output, *_ = trained("--cache-features")
    shutil.copytree(output, tmp_path / "run")
    shutil.copytree(output.parent / "features", tmp_path / "home" / "features")
    return tmp_path / "run"
