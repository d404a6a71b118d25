"""Trains a small network that enlarges images four times, with and without LPIPS in its loss.

After a training with mean squared error, one copy goes on with it, another with LPIPS added. Both
are compared on images that they have not seen.

    pip install scikit-image && python examples/super_resolution.py
"""

import argparse

import keras
import numpy as np
from keras import layers, ops
from PIL import Image, ImageDraw, ImageFont
from skimage import data

import lpips_tf

SCALE, SIDE, BATCH = 4, 64, 8
TRAINING = ["astronaut", "rocket", "hubble_deep_field", "immunohistochemistry", "grass", "gravel"]
HELD_OUT = {"chelsea": (112, 68), "coffee": (330, 60)}  # with the corner of the sheet's detail
SHOWN = 96  # pixels on the side of a detail, which is shown at twice the size
LPIPS_WEIGHT = 0.02
perceptual = lpips_tf.LPIPS(net="vgg", value_range=(0, 1))
metric = lpips_tf.LPIPS(value_range=(0, 1))  # AlexNet: another network than the one trained with


def photograph(name):
    """An image (1, H, W, 3) in [0, 1], with sides that SCALE divides."""
    image = np.asarray(Image.fromarray(getattr(data, name)()).convert("RGB"))
    height, width = (side // SCALE * SCALE for side in image.shape[:2])
    return np.float32(image[None, :height, :width]) / 255


def resized(images, factor):
    size = [round(side * factor) for side in images.shape[1:3]]
    return ops.clip(ops.image.resize(images, size, "bicubic", antialias=True), 0, 1)


def crops(count):
    """Random crops of the training images, reduced and as they are."""
    rng, images, high = np.random.default_rng(0), [photograph(name)[0] for name in TRAINING], []
    for i in rng.integers(len(images), size=count):
        top, left = (rng.integers(side - SIDE + 1) for side in images[i].shape[:2])
        high.append(images[i][top : top + SIDE, left : left + SIDE])
    high = np.stack(high)
    return resized(high, 1 / SCALE), high


def network(channels=48, depth=6):
    """A network that adds detail to the bilinear enlargement of an image."""
    small = x = keras.Input((None, None, 3))
    for _ in range(depth):
        x = layers.Conv2D(channels, 3, padding="same", activation="relu")(x)
    for width in (channels, channels // 2):  # enlarging before convolving leaves no grid
        x = layers.Conv2D(width, 3, padding="same", activation="relu")(layers.UpSampling2D()(x))
    detail = layers.Conv2D(3, 3, padding="same", kernel_initializer="zeros")(x)
    return keras.Model(small, layers.UpSampling2D(SCALE, interpolation="bilinear")(small) + detail)


def mse_and_lpips(y_true, y_pred):
    mse = ops.mean(ops.square(y_true - y_pred), axis=(1, 2, 3))
    return mse + LPIPS_WEIGHT * perceptual(y_true, y_pred)


def trained(model, loss, rate, low, high):
    """A copy of the model, trained for one pass over the crops."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    schedule = keras.optimizers.schedules.CosineDecay(rate, len(low) // BATCH, alpha=0.1)
    copy.compile(keras.optimizers.Adam(schedule), loss=loss)
    copy.fit(low, high, batch_size=BATCH, verbose=2)
    return copy


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--steps", type=int, nargs=2, default=(2500, 400), help="of each training")
steps = parser.parse_args().steps
keras.utils.set_random_seed(0)
first, second = (crops(count * BATCH) for count in steps)
start = trained(network(), "mse", 1e-3, *first)
mse_only = trained(start, "mse", 3e-4, *second)
with_lpips = trained(start, mse_and_lpips, 3e-4, *second)

sheet = Image.new("RGB", (4 * 2 * SHOWN, len(HELD_OUT) * (2 * SHOWN + 40)), "white")
draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
for row, (name, (left, top)) in enumerate(HELD_OUT.items()):
    small = resized(original := photograph(name), 1 / SCALE)
    images = {"bicubic": resized(small, SCALE), "MSE": mse_only(small)}
    images |= {"MSE + LPIPS": with_lpips(small), "original": original}
    for column, (how, image) in enumerate(images.items()):
        image = ops.convert_to_numpy(ops.clip(image, 0, 1))
        if how != "original":
            psnr, distance = ops.psnr(original, image, 1), metric(original, image)[0]
            how += f"\nPSNR {float(psnr):.2f} dB, LPIPS {float(distance):.3f}"
            print(f"{name}, {how}".replace("\n", ": "))
        detail = np.uint8(255 * image[0, top : top + SHOWN, left : left + SHOWN] + 0.5)
        x, y = column * 2 * SHOWN, row * (2 * SHOWN + 40)
        sheet.paste(Image.fromarray(detail.repeat(2, 0).repeat(2, 1)), (x, y))
        draw.text((x + SHOWN, y + 2 * SHOWN + 3), how, "black", font, "ma", align="center")
sheet.save("super_resolution.jpg", quality=88)
