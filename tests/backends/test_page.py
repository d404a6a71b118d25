"""The snippets of docs/backends.md, each under the backend that it is for."""

import re

import keras
import numpy as np
import pytest
from checking import ROOT, numbers

BACKEND = keras.backend.backend()


@pytest.mark.skipif(BACKEND == "tensorflow", reason="needs the JAX or the PyTorch backend")
def test_the_snippet_of_the_backend_gives_loss_and_gradient():
    page = (ROOT / "docs/backends.md").read_text()
    (code,) = (
        c for c in re.findall(r"```python\n(.*?)```", page, re.S) if f"import {BACKEND}\n" in c
    )
    names = {}
    exec(compile(code, "docs/backends.md", "exec"), names)
    gradient = names["gradient"] if BACKEND == "jax" else names["image"].grad
    assert gradient.shape == names["image"].shape
    assert np.isfinite(np.asarray(gradient)).all()
    assert np.abs(np.asarray(gradient)).max() > 0
    assert 0 < float(numbers(names["loss"])) < 1


def test_tensors_of_pytorch_are_images_under_every_backend(build):
    torch = pytest.importorskip("torch")
    x, y = torch.rand(2, 2, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    metric = build(value_range=(0, 1))
    np.testing.assert_array_equal(numbers(metric(x, y)), numbers(metric(x.numpy(), y.numpy())))
    if BACKEND != "torch":
        with pytest.raises(RuntimeError, match="detach"):
            metric(x.requires_grad_(), y)
