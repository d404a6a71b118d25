"""Contact sheets: a row of images for each group, with the names and sizes of the files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont, ImageOps

from lpips_tf.plots import shortened
from lpips_tf_cli.console.text import counted
from lpips_tf_cli.reading.image_files import ImageFiles

MOST_ROWS, MOST_IN_A_ROW = 74, 12  # WebP has at most 16,383 pixels on a side
SIDE, GAP, LINE = 160, 12, 16  # of an image, between images, of a line of text, in pixels
ROW = LINE + SIDE + 2 * LINE + GAP  # the group's number and size, images, their names and sizes
LETTERS, FONT_SIZE = 24, 11  # of the names under images


def write_contact_sheet(
    path: Path, folder: Path, groups: Sequence[Sequence[str]], files: ImageFiles
) -> None:
    """Draws groups of a folder's images, as many as fit, and the number of those that do not.

    Raises:
        OSError: an image cannot be read, or the sheet cannot be written.
    """
    shown = groups[:MOST_ROWS]
    columns = min(max(map(len, shown), default=1), MOST_IN_A_ROW + 1)
    size = (columns * (SIDE + GAP) + GAP, len(shown) * ROW + GAP + LINE)
    sheet = Image.new("RGB", size, "white")
    writer = ImageDraw.Draw(sheet)
    # Pillow's own font has only English letters.
    font = ImageFont.truetype(
        Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), FONT_SIZE
    )
    for row, group in enumerate(shown):
        heading = f"group {row + 1}: {counted(len(group), 'image')}"
        writer.text((GAP, GAP + row * ROW), heading, "black", font)
        top = GAP + row * ROW + LINE
        for column, name in enumerate(group[:MOST_IN_A_ROW]):
            left = GAP + column * (SIDE + GAP)
            image = Image.fromarray(files.load(folder / name))
            caption = f"{shortened(name, LETTERS)}\n{image.width}x{image.height}"
            image = ImageOps.contain(image, (SIDE, SIDE))
            sheet.paste(image, (left, top + SIDE - image.height))
            writer.multiline_text((left, top + SIDE), caption, "black", font)
        if len(group) > MOST_IN_A_ROW:
            left = GAP + MOST_IN_A_ROW * (SIDE + GAP)
            writer.text((left, top), f"and {len(group) - MOST_IN_A_ROW:,} more", "black", font)
    left_out = max(len(groups) - MOST_ROWS, 0)
    rest = f"and {counted(left_out, 'group')} more" if left_out else ""
    writer.text((GAP, size[1] - GAP - LINE), rest if groups else "no groups", "black", font)
    sheet.save(path)
