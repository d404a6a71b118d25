"""Sheets of pictures: a row for each group, with the names and sizes of the files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont, ImageOps

from lpips_tf_cli.console.text import counted, shortened
from lpips_tf_cli.distances.image_files import ImageFiles

MOST_ROWS, MOST_IN_A_ROW = 74, 12  # WebP has at most 16,383 pixels on a side
SIDE, GAP, LINE = 160, 12, 16  # of a picture, between pictures, of a line of text, in pixels
ROW = LINE + SIDE + 2 * LINE + GAP  # the group's number and size, pictures, their names and sizes
LETTERS, FONT_SIZE = 24, 11  # that fit under a picture


def draw(path: Path, folder: Path, groups: Sequence[Sequence[str]], files: ImageFiles) -> None:
    """Draws groups of image files of a folder, as far as they fit, and says how many do not.

    Raises:
        OSError: an image cannot be read, or the sheet not be written.
    """
    shown = groups[:MOST_ROWS]
    columns = min(max(map(len, shown), default=1), MOST_IN_A_ROW + 1)
    size = (columns * (SIDE + GAP) + GAP, len(shown) * ROW + GAP + LINE)
    sheet = Image.new("RGB", size, "white")
    writer = ImageDraw.Draw(sheet)
    # Pillow's own font has English letters only.
    font = ImageFont.truetype(
        Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), FONT_SIZE
    )
    for row, group in enumerate(shown):
        heading = f"group {row + 1}: {counted(len(group), 'image')}"
        writer.text((GAP, GAP + row * ROW), heading, "black", font)
        top = GAP + row * ROW + LINE
        for column, name in enumerate(group[:MOST_IN_A_ROW]):
            left = GAP + column * (SIDE + GAP)
            picture = Image.fromarray(files.load(folder / name))
            caption = f"{shortened(name, LETTERS)}\n{picture.width}x{picture.height}"
            picture = ImageOps.contain(picture, (SIDE, SIDE))
            sheet.paste(picture, (left, top + SIDE - picture.height))
            writer.multiline_text((left, top + SIDE), caption, "black", font)
        if len(group) > MOST_IN_A_ROW:
            left = GAP + MOST_IN_A_ROW * (SIDE + GAP)
            writer.text((left, top), f"and {len(group) - MOST_IN_A_ROW:,} more", "black", font)
    left_out = max(len(groups) - MOST_ROWS, 0)
    rest = f"and {counted(left_out, 'group')} more" if left_out else ""
    writer.text((GAP, size[1] - GAP - LINE), rest if groups else "no groups", "black", font)
    sheet.save(path)
