"""Makes a table of the judgements in KADID-10k (Lin, Hosu and Saupe, 2019).

    python scripts/judgements/kadid10k.py FOLDER [--output FOLDER/NAME.csv]

FOLDER is the folder kadid10k of the archive at
https://database.mmsp-kn.de/kadid-10k-database.html:

    dmos.csv     the columns dist_img, ref_img, dmos and var; a row for each of 10,125 images
    images/      I01.png to I81.png, the references; I01_03_05.png: number of the reference, of the
                 distortion, and the level

Opinions are the column `dmos` as it is published, from 1 to 5. They are higher for better images,
in spite of their name: the authors' page says so, and they fall with the level of most distortions.
The columns `distortion` and `level` say what was done to an image.

The layout is from programs that read it (https://github.com/chaofengc/IQA-PyTorch,
scripts/process_kadid10k.py) and from a copy of the archive on Hugging Face. Scale and direction are
from the page as https://github.com/icbcbicc/IQA-Dataset/issues/3 quotes it. Names of distortions
are from several programs that agree. Neither the page nor the archive was at hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import tables

LABELS = "dmos.csv"
NAME = re.compile(r"(I\d\d)_(\d\d)_0([1-5])\.png")
DISTORTIONS = (
    "Gaussian blur",
    "lens blur",
    "motion blur",
    "color diffusion",
    "color shift",
    "color quantization",
    "color saturation 1",
    "color saturation 2",
    "JPEG2000",
    "JPEG",
    "white noise",
    "white noise in color component",
    "impulse noise",
    "multiplicative noise",
    "denoise",
    "brighten",
    "darken",
    "mean shift",
    "jitter",
    "non-eccentricity patch",
    "pixelate",
    "quantization",
    "color block",
    "high sharpen",
    "contrast change",
)


def judgements(folder: Path) -> Iterator[tables.Judgement]:
    """The mean ratings, in the order of dmos.csv."""
    for place, row in tables.csv_rows(folder / LABELS, ("dist_img", "ref_img", "dmos")):
        name, reference = row["dist_img"], row["ref_img"]
        parts = NAME.fullmatch(name)
        if parts is None or not 1 <= int(parts[2]) <= len(DISTORTIONS):
            raise ValueError(f"Expected an image IRR_DD_LL.png. Received: {place}: {name!r}")
        if reference != f"{parts[1]}.png":
            raise ValueError(
                f"Expected the reference {parts[1]}.png of {name}. Received: {place}: {reference!r}"
            )
        columns = {
            "reference": f"images/{reference}",
            "image": f"images/{name}",
            "opinion": tables.number(place, row["dmos"], 1, 5),
            "distortion": DISTORTIONS[int(parts[2]) - 1],
            "level": parts[3],
        }
        yield tables.Judgement(place, columns)


def main() -> None:
    parser = tables.options(__doc__)
    arguments = parser.parse_args()
    tables.save(parser, arguments, judgements(arguments.folder), labels=LABELS)


if __name__ == "__main__":
    main()
