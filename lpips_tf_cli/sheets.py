"""Sheets of pictures: a row for each group, with the names of the files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont, ImageOps

from lpips_tf import images
from lpips_tf_cli.program import shortened

MOST_ROWS, MOST_IN_A_ROW = 80, 12  # WebP has at most 16,383 pixels on a side
SIDE, GAP, CAPTION = 160, 12, 16  # of a picture, between pictures, under a picture, in pixels
LETTERS, FONT_SIZE = 24, 11  # that fit under a picture


def draw(path: Path, folder: Path, groups: Sequence[Sequence[str]]) -> None:
    """Draws groups of image files of a folder, as far as they fit, and says how many do not.

    Raises:
        OSError: an image cannot be read, or the sheet not be written.
    """
    shown = groups[:MOST_ROWS]
    columns = min(max(map(len, shown), default=1), MOST_IN_A_ROW + 1)
    size = (columns * (SIDE + GAP) + GAP, len(shown) * (SIDE + CAPTION + GAP) + GAP + CAPTION)
    sheet = Image.new("RGB", size, "white")
    writer = ImageDraw.Draw(sheet)
    # Pillow's own font has English letters only.
    font = ImageFont.truetype(
        Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), FONT_SIZE
    )
    for row, group in enumerate(shown):
        top = GAP + row * (SIDE + CAPTION + GAP)
        for column, name in enumerate(group[:MOST_IN_A_ROW]):
            left = GAP + column * (SIDE + GAP)
            picture = ImageOps.contain(Image.fromarray(images.load(folder / name)), (SIDE, SIDE))
            sheet.paste(picture, (left, top + SIDE - picture.height))
            writer.text((left, top + SIDE), shortened(name, LETTERS), "black", font)
        if len(group) > MOST_IN_A_ROW:
            left = GAP + MOST_IN_A_ROW * (SIDE + GAP)
            writer.text((left, top), f"and {len(group) - MOST_IN_A_ROW:,} more", "black", font)
    rest = f"and {len(groups) - MOST_ROWS:,} groups more" if len(groups) > MOST_ROWS else ""
    writer.text((GAP, size[1] - GAP - CAPTION), rest if groups else "no groups", "black", font)
    sheet.save(path)
