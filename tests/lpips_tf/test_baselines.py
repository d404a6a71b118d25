"""L2 and DSSIM are Keras losses and metrics like LPIPS, and refuse what it refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from checking import numbers

from lpips_tf.baselines import DSSIM, L2

GOOD = np.zeros((2, 16, 16, 3), "uint8")


@pytest.mark.parametrize(
    ("in0", "in1", "message"),
    [
        (GOOD[0], GOOD[0], r"\(N, H, W, 3\).*in0.shape=\(16, 16, 3\)"),
        (GOOD, GOOD[:1], r"same shape.*\(2, 16, 16, 3\).*\(1, 16, 16, 3\)"),
        (GOOD, GOOD.astype(int), "in1.dtype=int64"),
        (GOOD[:0], GOOD[:0], "at least one image"),
        (GOOD[:, :6], GOOD[:, :6], r"at least 7x7 pixels for DSSIM. Received: in0.shape"),
    ],
)
def test_baselines_refuse_what_cannot_be_compared(in0, in1, message):
    with pytest.raises(ValueError, match=message):
        DSSIM()(in0, in1)


def test_baselines_refuse_unknown_options():
    with pytest.raises(ValueError, match=r"'RGB', 'Lab'. Received: colorspace='lab'"):
        L2("lab")
    with pytest.raises(ValueError, match=r"value_range.*Received: \(1, 1\)"):
        L2(value_range=(1, 1))


def test_baselines_warn_once_of_floats_out_of_range():
    metric, image = L2(), np.linspace(0, 5, 768, dtype="f4").reshape(1, 16, 16, 3)
    with pytest.warns(UserWarning, match=r"in0 spans 0 to 5, but value_range=\(-1.0, 1.0\)"):
        metric(image, 0 * image)
    metric(image, 0 * image)  # a warning would be an error


@pytest.mark.parametrize("metric", [L2(), DSSIM()])
def test_baselines_take_uint8_with_floats(metric):
    x = np.random.default_rng(0).integers(0, 256, (2, 2, 16, 16, 3), "uint8")
    floats = x[1] / np.float32(127.5) - 1
    np.testing.assert_allclose(numbers(metric(x[0], floats)), numbers(metric(*x)), atol=1e-6)


def test_l2_takes_single_pixels():
    assert numbers(L2("RGB")(GOOD[:, :1, :1], GOOD[:, :1, :1] + 255)) == pytest.approx([4, 4])


@pytest.mark.parametrize(
    "metric", [kind(c, (0, 1)) for kind in (L2, DSSIM) for c in ("RGB", "Lab")]
)
@pytest.mark.parametrize("level", [0, 0.5, 1])
def test_gradients_of_baselines_are_finite_for_constant_and_equal_images(metric, level):
    x = tf.fill((1, 16, 16, 3), np.float32(level))
    for y in (x, x + tf.random.stateless_uniform(x.shape, (1, 2), 0, 0.01)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            distance = metric(x, y)
        assert np.isfinite(numbers(tape.gradient(distance, x))).all()


def test_a_baseline_compiles_once_for_all_sizes():
    metric = DSSIM()
    for size in (8, 9, 32):
        metric(GOOD[:1].repeat(size, 1)[:, :size, :8], GOOD[:1].repeat(size, 1)[:, :size, :8])
    (graph,) = metric._compiled_distance._graphs.values()
    assert graph.experimental_get_tracing_count() == 1


@pytest.mark.slow
def test_a_model_trains_with_baselines_and_is_saved_with_them(tmp_path):
    image = keras.Input((16, 16, 3))
    model = keras.Model(image, keras.layers.Conv2D(3, 3, padding="same")(image))
    model.compile("adam", loss=DSSIM("RGB", (0, 1)), metrics=[L2("RGB", (0, 1))])
    x = np.random.default_rng(0).uniform(0, 1, (4, 16, 16, 3)).astype("f4")
    history = model.fit(x, x, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert set(history) == {"loss", "l2"}
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.evaluate(x, x, verbose=0) == pytest.approx(model.evaluate(x, x, verbose=0))
