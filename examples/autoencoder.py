"""Trains a small autoencoder with LPIPS as its loss, its metric, and its images in TensorBoard.

The loss is of VGG16 and the metric of AlexNet, so that the model is not measured by what trains it.

    pip install scikit-image tensorboard
    python examples/autoencoder.py && tensorboard --logdir logs
"""

import argparse

import keras
import numpy as np
from keras import layers
from PIL import Image
from skimage import data

import lpips_tf

SIDE, CHANNELS = 64, 32
TRAINING = ["astronaut", "rocket", "hubble_deep_field", "immunohistochemistry"]
HELD_OUT = ["chelsea", "coffee"]


def crops(names, count, seed=0):
    """Random crops (count, SIDE, SIDE, 3) of photographs, reduced to half their size; uint8."""
    rng, found = np.random.default_rng(seed), []
    images = [Image.fromarray(getattr(data, name)()).convert("RGB").reduce(2) for name in names]
    for i in rng.integers(len(images), size=count):
        image = np.asarray(images[i])
        top, left = (rng.integers(side - SIDE + 1) for side in image.shape[:2])
        found.append(image[top : top + SIDE, left : left + SIDE])
    return np.stack(found)


def autoencoder():
    """Encodes 64x64 pixels in 8x8 vectors of CHANNELS numbers, a sixth of the pixels' numbers."""
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    for width in (32, 64, 64):
        x = layers.Conv2D(width, 4, strides=2, padding="same", activation="gelu")(x)
    code = layers.Conv2D(CHANNELS, 1, name="code")(x)
    x = code
    for width in (64, 64, 32):
        x = layers.Conv2DTranspose(width, 4, strides=2, padding="same", activation="gelu")(x)
    return keras.Model(image, layers.Conv2D(3, 3, padding="same", activation="tanh")(x))


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--images", type=int, default=320, help="crops to train on")
parser.add_argument("--log-dir", default="logs")
arguments = parser.parse_args()

keras.utils.set_random_seed(0)
train, held_out = crops(TRAINING, arguments.images), crops(HELD_OUT, 64, seed=1)
model = autoencoder()
watched = lpips_tf.LPIPS()  # one network for the metric and for TensorBoard
model.compile(
    keras.optimizers.Adam(1e-3),
    loss=lpips_tf.losses.LPIPS("vgg"),  # of targets of uint8, and outputs in [-1, 1]
    metrics=[lpips_tf.metrics.LPIPS(metric=watched)],
)
model.fit(
    train, train, validation_data=(held_out, held_out), batch_size=16, epochs=arguments.epochs,
    verbose=2,
    callbacks=[
        keras.callbacks.EarlyStopping("val_lpips", patience=3, restore_best_weights=True),
        keras.callbacks.TensorBoard(arguments.log_dir),
        lpips_tf.callbacks.LPIPSImages(arguments.log_dir, (held_out, held_out), watched),
    ],
)  # fmt: skip
