"""Image files of every kind become RGB."""

import struct
import warnings

import numpy as np
import pytest
from image_contents import ADOBE, P3, PILLOWS_SRGB, SRGB_PRIMARIES, bomb, profile
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


LOSSLESS = {".webp": {"lossless": True}, ".jp2": {"irreversible": False}}
LOSSY = (".jpg", ".jpeg", ".jfif", ".avif")


@pytest.mark.parametrize("suffix", sorted(images.SUFFIXES))
def test_every_listed_format_is_read(tmp_path, suffix):
    grey = suffix in (".pgm", ".pbm", ".gif")
    pixels = GREY > 127 if suffix == ".pbm" else GREY if grey else RGB
    if suffix in LOSSY:  # smooth
        pixels = np.broadcast_to(np.linspace(0, 255, 30)[:, None], (20, 30, 3)).astype("uint8")
    path = save(tmp_path / f"a{suffix}", pixels, **LOSSLESS.get(suffix, {}))
    loaded = images.load(path)
    assert loaded.dtype == np.uint8
    assert images.size(path) == loaded.shape[:2] == (20, 30)
    expected = np.asarray(Image.fromarray(pixels).convert("RGB"), int)
    np.testing.assert_allclose(loaded, expected, atol=12 if suffix in LOSSY else 0)
    assert images.list_folder(tmp_path) == [path.name]


def test_grey_images_have_three_equal_channels(tmp_path):
    expected = np.repeat(GREY[..., None], 3, 2)
    np.testing.assert_array_equal(images.load(save(tmp_path / "a.png", GREY)), expected)


def test_images_of_one_bit_are_black_and_white(tmp_path):
    loaded = images.load(save(tmp_path / "a.png", Image.fromarray(GREY > 127)))
    np.testing.assert_array_equal(loaded, np.repeat(np.where(GREY > 127, 255, 0)[..., None], 3, 2))


def test_palettes_are_resolved(tmp_path):
    palette = Image.fromarray(RGB).quantize(16)
    expected = np.asarray(palette.convert("RGB"))
    np.testing.assert_array_equal(images.load(save(tmp_path / "a.png", palette)), expected)


def test_cmyk_becomes_rgb(tmp_path):
    cmyk = Image.fromarray(RGB).convert("CMYK")
    loaded = images.load(save(tmp_path / "a.tiff", cmyk))
    np.testing.assert_allclose(loaded.astype(int), RGB, atol=1)


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
def test_16_bit_grey_is_scaled(tmp_path, suffix):
    levels = np.array([[0, 128, 257, 65535 // 2, 65535]], "uint16").repeat(3, 0)
    loaded = images.load(save(tmp_path / f"a.{suffix}", levels))
    np.testing.assert_array_equal(loaded[0, :, 0], [0, 0, 1, 127, 255])


def test_transparent_images_are_laid_over_white_with_a_warning(tmp_path):
    alpha = np.full((20, 30, 1), 255, "uint8")
    alpha[:10] = 0
    alpha[10] = 128
    path = save(tmp_path / "a.png", np.concatenate([RGB, alpha], 2))
    with pytest.warns(UserWarning, match=r"a\.png is transparent in places"):
        loaded = images.load(path)
    assert (loaded[:10] == 255).all()
    np.testing.assert_allclose(loaded[10], (RGB[10] * 128.0 + 255 * 127) / 255, atol=1)
    np.testing.assert_array_equal(loaded[11:], RGB[11:])


def test_an_opaque_alpha_channel_needs_no_warning(tmp_path):
    path = save(tmp_path / "a.png", np.dstack([RGB, np.full((20, 30), 255, "uint8")]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(images.load(path), RGB)


def test_a_transparent_colour_of_a_palette_is_laid_over_white(tmp_path):
    palette = Image.fromarray(np.indices((20, 30))[0].astype("uint8"), "L").convert("P")
    path = save(tmp_path / "a.gif", palette, transparency=0)
    with pytest.warns(UserWarning, match="over white"):
        loaded = images.load(path)
    assert (loaded[0] == 255).all()


@pytest.mark.parametrize(
    ("orientation", "suffix"),
    [*((i, "png") for i in range(1, 9)), (6, "tiff"), (6, "webp")],
)
def test_images_are_turned_upright_by_their_exif_orientation(tmp_path, orientation, suffix):
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


def test_the_first_frame_is_read_with_a_warning(tmp_path):
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with pytest.warns(UserWarning, match=r"a\.gif has 2 frames; only the first is read"):
        loaded = images.load(path)
    np.testing.assert_array_equal(loaded[..., 0], GREY)


# Colour profiles


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
def test_colour_profiles_are_told_and_converted_on_demand(tmp_path, suffix):
    """Colours of sRGB, written as the numbers that they have in Display P3."""
    rng = np.random.default_rng(3)
    expected = rng.integers(40, 256, (9, 11, 3)) / 255  # the darkest lose digits in 8 bits

    def linear(v):
        return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)

    def encoded(v):
        return np.where(v <= 0.0031308, v * 12.92, 1.055 * v.clip(0) ** (1 / 2.4) - 0.055)

    to_p3 = np.array(  # CSS Color 4, linear sRGB to XYZ and from there to Display P3
        [[0.8224621, 0.1775380, 0], [0.0331942, 0.9668058, 0], [0.0170827, 0.0723974, 0.9105199]]
    )
    numbers = np.round(255 * encoded(linear(expected) @ to_p3.T)).astype("uint8")
    options = {"lossless": True} if suffix == "webp" else {}
    path = save(tmp_path / f"a.{suffix}", numbers, icc_profile=P3, **options)
    with pytest.warns(UserWarning, match="colour profile Wide are read as if they were sRGB"):
        np.testing.assert_array_equal(images.load(path), numbers)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        converted = images.load(path, srgb=True)
    assert np.abs(converted - 255 * expected).max() < 4
    with Image.open(path) as opened:
        np.testing.assert_array_equal(images.from_pillow(opened, "a", srgb=True), converted)
    assert np.abs(numbers - 255 * expected).max() > 20


def test_colour_profiles_of_grey_cmyk_and_transparent_images_are_converted(tmp_path):
    alpha = save(tmp_path / "a.png", np.dstack([RGB, GREY]), icc_profile=ADOBE)
    grey = save(tmp_path / "b.png", GREY, icc_profile=ADOBE)
    cmyk = save(tmp_path / "c.tiff", Image.fromarray(RGB).convert("CMYK"), icc_profile=ADOBE)
    plain = save(tmp_path / "d.png", RGB, icc_profile=ADOBE)
    with pytest.warns(UserWarning, match="laid over white"):
        laid = images.load(alpha, srgb=True)
    opaque = images.load(plain, srgb=True)
    share = GREY[..., None] / 255
    np.testing.assert_allclose(laid, share * opaque + (1 - share) * 255, atol=1)
    assert np.ptp(images.load(grey, srgb=True), axis=2).max() <= 1  # grey stays grey
    np.testing.assert_allclose(images.load(cmyk, srgb=True), opaque, atol=2)


@pytest.mark.parametrize("content", [profile(SRGB_PRIMARIES), PILLOWS_SRGB])
def test_srgb_profiles_need_no_conversion(tmp_path, content):
    path = save(tmp_path / "a.png", RGB, icc_profile=content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for srgb in (False, True):
            np.testing.assert_array_equal(images.load(path, srgb), RGB)


@pytest.mark.parametrize("content", [b"no profile", P3[:200]])
def test_a_damaged_colour_profile_is_an_error_only_on_demand(tmp_path, content):
    path = save(tmp_path / "a.png", RGB, icc_profile=content)
    np.testing.assert_array_equal(images.load(path), RGB)
    with pytest.raises(OSError, match=r"Cannot read the image .*a\.png: its colour profile is"):
        images.load(path, srgb=True)


# Bad files


@pytest.mark.parametrize("read", [images.load, images.size])
def test_an_image_that_unpacks_to_gigabytes_is_refused(tmp_path, read):
    with pytest.raises(OSError, match=r"Refused to read .*a\.png.*2500000000 pixels"):
        read(bomb(tmp_path / "a.png"))


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tiff", "webp", "gif"])
def test_a_truncated_image_is_refused_by_name(tmp_path, suffix):
    path = save(tmp_path / f"a.{suffix}", RGB)
    data = path.read_bytes()
    for share in (0.1, 0.5, 0.9):
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises(OSError, match=rf"Cannot read the image .*a\.{suffix}: ."):
            images.load(path)


def tiff_of_32_bits(order):
    """The start of a TIFF file with three channels of 32 bits, which Pillow does not read."""
    entries = ((256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 3, 100), (262, 3, 1, 2), (277, 3, 1, 3))
    content = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HIH", 42, 8, len(entries))
    for tag, kind, count, value in entries:
        value = struct.pack(order + ("I" if count > 1 else "H"), value)
        content += struct.pack(order + "HHI", tag, kind, count) + value.ljust(4, b"\0")
    return content.ljust(100, b"\0") + struct.pack(order + "HHH", 32, 32, 32)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"this is no image\n" * 50, "it is no image of a known format"),
        (b"II nor is this", "it is no image of a known format"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC.* not supported. Convert it"),
        (tiff_of_32_bits("<"), "TIFF of 32 bits a channel is not supported"),
        (tiff_of_32_bits(">"), "TIFF of 32 bits a channel is not supported"),
    ],
)
def test_a_file_that_is_no_image_is_refused_with_the_reason(tmp_path, content, reason):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    reads = (images.load, images.size, lambda path: images.decode(path.read_bytes(), str(path)))
    for read in reads:
        with pytest.raises(OSError, match=rf"a\.png: {reason}"):
            read(path)


def test_missing_files_broken_links_and_folders_are_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is none at"):
        images.load(tmp_path / "none.png")
    (tmp_path / "link.png").symlink_to("none.png")
    with pytest.raises(FileNotFoundError, match=r"link\.png links to a file that is missing"):
        images.load(tmp_path / "link.png")
    with pytest.raises(IsADirectoryError, match="Received a folder"):
        images.load(tmp_path)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_images_of_more_than_16_bits_are_refused(tmp_path, mode):
    path = save(tmp_path / "a.tiff", Image.fromarray(GREY).convert(mode))
    with pytest.raises(OSError, match=r"8 or 16 bits\. Received: .*a\.tiff"):
        images.load(path)
    with pytest.raises(OSError, match=r"8 or 16 bits\. Received: a of 32 bits"):
        images.from_pillow(Image.fromarray(GREY).convert(mode), "a")


def test_a_folder_is_listed_by_the_suffixes_of_images(tmp_path):
    others = ("notes.txt", "index.h5", "map.pdf", "map.svg", "plot.eps", "video.mpg", ".hidden.png")
    for name in ("b.PNG", "a.jpg", "c.webp", *others):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "gone.png").symlink_to("nowhere.png")  # reading it says so
    assert images.list_folder(tmp_path) == ["a.jpg", "b.PNG", "c.webp", "gone.png"]
    with pytest.raises(FileNotFoundError, match="Expected a folder of images"):
        images.list_folder(tmp_path / "none")
    with pytest.raises(NotADirectoryError, match="Received a file"):
        images.list_folder(tmp_path / "a.jpg")
