"""Image files of every kind become RGB."""

import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from lpips_tf import images

rng = np.random.default_rng(0)
RGB = rng.integers(0, 256, (20, 30, 3), "uint8")
GREY = rng.integers(0, 256, (20, 30), "uint8")


def save(path, array_or_image, **options):
    image = array_or_image
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp", "ppm"])
def test_rgb(tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    loaded = images.load(save(tmp_path / f"a.{suffix}", RGB, **options))
    assert loaded.dtype == np.uint8
    np.testing.assert_array_equal(loaded, RGB)


def test_grey(tmp_path):
    expected = np.repeat(GREY[..., None], 3, 2)
    np.testing.assert_array_equal(images.load(save(tmp_path / "a.png", GREY)), expected)


def test_one_bit(tmp_path):
    loaded = images.load(save(tmp_path / "a.png", Image.fromarray(GREY > 127)))
    np.testing.assert_array_equal(loaded, np.repeat(np.where(GREY > 127, 255, 0)[..., None], 3, 2))


def test_palette(tmp_path):
    palette = Image.fromarray(RGB).quantize(16)
    expected = np.asarray(palette.convert("RGB"))
    np.testing.assert_array_equal(images.load(save(tmp_path / "a.png", palette)), expected)


def test_cmyk(tmp_path):
    cmyk = Image.fromarray(RGB).convert("CMYK")
    loaded = images.load(save(tmp_path / "a.tiff", cmyk))
    np.testing.assert_allclose(loaded.astype(int), RGB, atol=1)


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
def test_16_bit_grey_is_scaled(tmp_path, suffix):
    levels = np.array([[0, 128, 257, 65535 // 2, 65535]], "uint16").repeat(3, 0)
    loaded = images.load(save(tmp_path / f"a.{suffix}", levels))
    np.testing.assert_array_equal(loaded[0, :, 0], [0, 0, 1, 127, 255])


def test_transparent_over_white_with_a_warning(tmp_path):
    alpha = np.full((20, 30, 1), 255, "uint8")
    alpha[:10] = 0
    alpha[10] = 128
    path = save(tmp_path / "a.png", np.concatenate([RGB, alpha], 2))
    with pytest.warns(UserWarning, match=r"a\.png is transparent in places"):
        loaded = images.load(path)
    assert (loaded[:10] == 255).all()
    np.testing.assert_allclose(loaded[10], (RGB[10] * 128.0 + 255 * 127) / 255, atol=1)
    np.testing.assert_array_equal(loaded[11:], RGB[11:])


def test_opaque_alpha_needs_no_warning(tmp_path):
    path = save(tmp_path / "a.png", np.dstack([RGB, np.full((20, 30), 255, "uint8")]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(images.load(path), RGB)


def test_transparent_palette_colour(tmp_path):
    palette = Image.fromarray(np.indices((20, 30))[0].astype("uint8"), "L").convert("P")
    path = save(tmp_path / "a.gif", palette, transparency=0)
    with pytest.warns(UserWarning, match="over white"):
        loaded = images.load(path)
    assert (loaded[0] == 255).all()


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation, suffix):
    """Stored turned, as a camera does; what comes back is upright."""
    turned = {
        1: RGB, 2: RGB[:, ::-1], 3: RGB[::-1, ::-1], 4: RGB[::-1],
        5: RGB.transpose(1, 0, 2), 6: np.rot90(RGB), 7: RGB[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(RGB, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "webp" else {}
    path = save(tmp_path / f"a.{suffix}", np.ascontiguousarray(turned), exif=exif, **options)
    np.testing.assert_array_equal(images.load(path), RGB)
    assert images.size(path) == (20, 30)


def test_first_frame(tmp_path):
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(images.load(path)[..., 0], GREY)


# Bad files


def bomb(path):
    """A PNG of a few bytes that says it has 2.5 thousand million pixels."""
    chunks = [
        b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0),
        b"IDAT" + zlib.compress(b"0"),
    ]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
            for chunk in chunks
        )
    )
    return path


@pytest.mark.parametrize("read", [images.load, images.size])
def test_image_bomb(tmp_path, read):
    with pytest.raises(OSError, match=r"Refused to read .*a\.png.*2500000000 pixels"):
        read(bomb(tmp_path / "a.png"))


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tiff", "webp", "gif"])
def test_truncated(tmp_path, suffix):
    path = save(tmp_path / f"a.{suffix}", RGB)
    data = path.read_bytes()
    for share in (0.1, 0.5, 0.9):
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises(OSError, match=rf"Cannot read the image .*a\.{suffix}: ."):
            images.load(path)


@pytest.mark.parametrize("content", [b"", b"this is no image\n" * 50])
def test_no_image(tmp_path, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    for read in (images.load, images.size):
        with pytest.raises(OSError, match=r"a\.png: it is no image of a known format"):
            read(path)


def test_missing_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is none at"):
        images.load(tmp_path / "none.png")
    with pytest.raises(IsADirectoryError, match="Received a folder"):
        images.load(tmp_path)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_images_of_more_than_16_bits(tmp_path, mode):
    path = save(tmp_path / "a.tiff", Image.fromarray(GREY).convert(mode))
    with pytest.raises(OSError, match=r"8 or 16 bits\. Received: .*a\.tiff"):
        images.load(path)


def test_list_folder(tmp_path):
    for name in ("b.PNG", "a.jpg", ".hidden.png", "notes.txt", "c.webp"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert images.list_folder(tmp_path) == ["a.jpg", "b.PNG", "c.webp"]
    with pytest.raises(FileNotFoundError, match="Expected a folder of images"):
        images.list_folder(tmp_path / "none")
    with pytest.raises(NotADirectoryError, match="Received a file"):
        images.list_folder(tmp_path / "a.jpg")
