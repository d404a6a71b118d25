"""What PyTorch does with a metric: it saves, transforms, compiles and checks it."""

import io

import keras
import numpy as np
import pytest
from checking import numbers

import lpips_tf

if keras.backend.backend() != "torch":
    pytest.skip("needs the PyTorch backend", allow_module_level=True)

import torch
from torch._dynamo.testing import CompileCounterWithBackend


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(-1, 1, (2, 2, 32, 33, 3)).astype("float32")


def test_state_dictionaries_of_pytorch_have_the_weights(images):
    tuned = lpips_tf.LPIPS(backbone_weights=None)
    file = io.BytesIO()
    torch.save(tuned.state_dict(), file)
    file.seek(0)
    restored = lpips_tf.LPIPS()
    restored.load_state_dict(torch.load(file, weights_only=True))
    np.testing.assert_array_equal(numbers(restored(*images)), numbers(tuned(*images)))


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # PyTorch's own use
def test_pytorch_transforms_a_metric(build, images):
    x, y = map(torch.tensor, images)
    metric, direction = build(), torch.ones(2, 32, 33, 3)
    distance, slope = torch.func.jvp(lambda a: metric(a, y), (x,), (direction,))
    gradient = torch.func.grad(lambda a: metric(a, y).sum())(x)
    np.testing.assert_allclose(numbers(distance), numbers(metric(x, y)), rtol=1e-6)
    assert float(slope.sum()) == pytest.approx(float((gradient * direction).sum()), rel=1e-4)
    with pytest.raises(ValueError, match='in1 on the device "meta"'):
        metric(x, y.to("meta"))
    with keras.device("meta"):
        shape = metric(x.to("meta"), y.to("meta"))
    assert (shape.device.type, shape.shape) == ("meta", (2,))
    torch.func.jvp(lambda a: lpips_tf.baselines.L2()(a, y), (x,), (direction,))


def test_pytorch_compiles_a_metric_to_one_graph(build, images):
    """Compiled once for a size, however often the metric is called besides."""
    x, y = map(torch.tensor, images)
    metric, counter = lpips_tf.LPIPS(), CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(lambda a: metric(a, y).sum(), backend=counter, fullgraph=True)
    for _ in range(2):
        gradients = []
        for function in (compiled, lambda a: metric(a, y).sum()):
            a = x.clone().requires_grad_()
            distance = function(a)
            gradients.append(torch.autograd.grad(distance, a)[0])
            assert float(distance.detach()) == pytest.approx(float(metric(x, y).sum()), rel=1e-6)
        torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-7)
    assert counter.frame_count == 1


@pytest.mark.parametrize(("net", "side"), [("alex", 31), ("vgg", 16)])
def test_gradients_pass_the_gradcheck_of_pytorch(net, side):
    values = np.random.default_rng(0).uniform(-1, 1, (2, 1, side + 2, side, 3))
    pair = [torch.tensor(image, requires_grad=True) for image in values]
    compare = lpips_tf.LPIPS(net, dtype="float64")
    assert torch.autograd.gradcheck(lambda x, y: compare(x, y), pair, fast_mode=True, eps=1e-7)
    assert compare(*pair).dtype == torch.float64
