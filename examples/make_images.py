"""Makes `images/`: a cat, and four copies with the same mean squared error.

    pip install scikit-image && python examples/make_images.py

The reference is scikit-image's `chelsea` (Stefan van der Walt, CC0). The strength of each
distortion is chosen for a PSNR of 25 dB. `docs/images/distances.webp` shows the images side by side
with their LPIPS.
"""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from skimage import data, transform

import lpips_tf

FOLDER = Path(__file__).parent
PSNR = 25.0  # dB
SIZE = 176


def psnr(reference: np.ndarray, image: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.mean((reference.astype(float) - image) ** 2))


def blurred(image: np.ndarray, strength: float) -> np.ndarray:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(8 * strength)))


def noisy(image: np.ndarray, strength: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 80 * strength, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def compressed(image: np.ndarray, strength: float) -> np.ndarray:
    """JPEG of a smaller image, enlarged again, as JPEG quality alone would change in steps."""
    side = round(SIZE * (1 - 0.7 * strength))
    buffer = io.BytesIO()
    Image.fromarray(image).resize((side, side), Image.BICUBIC).save(buffer, "JPEG", quality=12)
    return np.asarray(Image.open(buffer).resize((SIZE, SIZE), Image.BICUBIC))


def darkened(image: np.ndarray, strength: float) -> np.ndarray:
    return np.round(image * (1 - strength)).astype(np.uint8)


def at_psnr(distort: Callable, image: np.ndarray) -> np.ndarray:
    """The distorted image whose PSNR is nearest to `PSNR`, by bisection over the strength."""
    weak, strong = 0.0, 1.0
    for _ in range(30):
        middle = (weak + strong) / 2
        weak, strong = (
            (middle, strong) if psnr(image, distort(image, middle)) > PSNR else (weak, middle)
        )
    return distort(image, strong)


def strip(images: dict[str, np.ndarray], captions: dict[str, str]) -> Image.Image:
    """The images in a row, each over its caption."""
    margin, text = 8, 40
    width = len(images) * (SIZE + margin) + margin
    sheet = Image.new("RGB", (width, SIZE + 2 * margin + text), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for i, (name, image) in enumerate(images.items()):
        left = margin + i * (SIZE + margin)
        sheet.paste(Image.fromarray(image), (left, margin))
        draw.multiline_text(
            (left + SIZE / 2, SIZE + margin + 6),
            captions[name],
            "black",
            font,
            "ma",
            align="center",
        )
    return sheet


def main() -> None:
    cat = transform.resize(data.chelsea()[10:290, 90:370], (SIZE, SIZE), anti_aliasing=True)
    reference = np.round(cat * 255).astype(np.uint8)
    images = {"reference": reference}
    for distort in (darkened, noisy, compressed, blurred):
        images[distort.__name__] = at_psnr(distort, reference)
    metric = lpips_tf.LPIPS()
    captions = {"reference": "reference"}
    for name, image in images.items():
        Image.fromarray(image).save(FOLDER / "images" / f"{name}.png", optimize=True)
        if name != "reference":
            distance = float(metric(reference[None], image[None])[0])
            captions[name] = f"{name}\nPSNR {psnr(reference, image):.1f} dB, LPIPS {distance:.2f}"
            print(name, f"{psnr(reference, image):.2f} dB", f"{distance:.4f}")
    strip(images, captions).save(
        FOLDER.parent / "docs" / "images" / "distances.webp", quality=88, method=6
    )


if __name__ == "__main__":
    main()
