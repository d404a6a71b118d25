"""Images in TensorBoard: what is written, when, and of which images."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_helpers import network
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import lpips_tf
from lpips_tf.callbacks import LPIPSImages


@pytest.fixture
def data(photos):
    """Targets of uint8, and inputs in [-1, 1]."""
    targets, inputs = (x[:4, :40, :48] for x in photos)
    return inputs / np.float32(127.5) - 1, targets


def written(log_dir):
    """For each tag of a log its steps and its values: numbers, or images (H, W, 3)."""
    events = EventAccumulator(str(log_dir / "lpips_images"), {"tensors": 0}).Reload()
    found = {}
    for tag in events.Tags()["tensors"]:
        values = [(e.step, tf.make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)]
        if values[0][1].dtype == object:  # width, height and the image as PNG
            values = [(step, tf.io.decode_png(value[2]).numpy()) for step, value in values]
        found[tag] = dict(values)
    return found


@pytest.mark.slow
def test_figures_and_distances_of_some_epochs_are_written(data, build, tmp_path):
    inputs, targets = data
    model = network()
    model.compile("adam", loss="mse")
    outputs = {}
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: outputs.update({epoch: model(inputs).numpy()})
    )
    shown = LPIPSImages(tmp_path, data, build(), every=2, count=3)
    model.fit(inputs, inputs, epochs=3, verbose=0, callbacks=[shown, keep])
    found = written(tmp_path)
    assert set(found) == {f"lpips/{i}" for i in range(3)} | {f"lpips/{i}/figure" for i in range(3)}
    for i in range(3):
        assert list(found[f"lpips/{i}"]) == [0, 2]
        for epoch, distance in found[f"lpips/{i}"].items():
            expected = build()(targets[i : i + 1], outputs[epoch][i : i + 1])
            assert distance == pytest.approx(float(expected[0]), rel=1e-4)
            height, width, _ = found[f"lpips/{i}/figure"][epoch].shape
            assert (height > 200, width > 600) == (True, True)


@pytest.mark.slow
def test_data_may_be_a_dataset_and_the_metric_is_alexnet(data, tmp_path):
    batches = tf.data.Dataset.from_tensor_slices(data).batch(2)
    shown = LPIPSImages(tmp_path, batches, layers=True)
    assert shown.metric.net == "alex"
    model = network()
    model.compile("adam", loss=lpips_tf.losses.LPIPS(metric=shown.metric))
    model.fit(batches, epochs=1, verbose=0, callbacks=[shown])
    found = written(tmp_path)
    assert set(found) == {"lpips/0", "lpips/0/figure", "lpips/1", "lpips/1/figure"}


def test_grey_images_are_drawn(data, build, tmp_path):
    grey = tuple(images[..., :1] for images in data)
    image = keras.Input((40, 48, 1))
    model = keras.Model(image, keras.layers.Rescaling(0.5)(image))
    model.compile(loss=lpips_tf.losses.LPIPS(metric=build()))
    shown = LPIPSImages(tmp_path, grey, build(), count=1)
    shown.set_model(model)
    shown.on_epoch_end(0)
    (distance,) = written(tmp_path)["lpips/0"].values()
    expected = build()(grey[1][:1], grey[0][:1] / 2)
    assert distance == pytest.approx(float(expected[0]), rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((None,), {}, r"inputs and references \(x, y\)"),
        (("logs",), {}, r"inputs and references \(x, y\)"),
        (((1, 2, 3, 4),), {}, r"inputs and references \(x, y\)"),
        (([np.zeros((40, 40, 3))] * 2,), {}, "`batch` makes batches"),
        (([np.zeros((3, 40, 40, 3)), np.zeros((2, 40, 40, 3))],), {}, "as many inputs"),
        ((((1, 2), np.zeros((2, 40, 40, 3))),), {}, "as many inputs"),
        (([np.zeros((2, 40, 40, 3))] * 2,), {"every": 0}, "every of at least 1"),
        (([np.zeros((2, 40, 40, 3))] * 2,), {"count": 0}, "count of at least 1"),
        (([np.zeros((2, 40, 40, 3))] * 2, "alex"), {}, "Expected an lpips_tf.LPIPS"),
    ],
)
def test_what_cannot_be_shown_is_refused_before_training(tmp_path, arguments, options, message):
    with pytest.raises(ValueError, match=message):
        LPIPSImages(tmp_path, *arguments, **options)
    assert list(tmp_path.iterdir()) == []


def test_models_of_several_outputs_are_refused(data, build, tmp_path):
    inputs, _ = data
    model = network(outputs=2)
    model.compile("adam", loss="mse")
    with pytest.raises(ValueError, match="a model with one output"):
        model.fit(inputs, [inputs] * 2, verbose=0, callbacks=[LPIPSImages(tmp_path, data, build())])


def test_tensorboard_is_asked_for_before_training(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # as if it were missing
    monkeypatch.delitem(sys.modules, "lpips_tf.callbacks")
    monkeypatch.delattr(lpips_tf, "callbacks")
    with pytest.raises(ImportError, match="callbacks needs tensorboard, which is not installed"):
        _ = lpips_tf.callbacks
