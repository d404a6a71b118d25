"""Makes a table of the judgements in TID2013 (Ponomarenko et al., 2015).

    python scripts/judgements/tid2013.py FOLDER [--output FOLDER/NAME.csv]

FOLDER is what tid2013.rar of https://www.ponomarenko.info/tid2013.htm unpacks to:

    mos_with_names.txt     a line for each of 3,000 images: 5.51429 I01_01_1.bmp
    reference_images/      I01.BMP to I24.BMP, i25.bmp
    distorted_images/      I01_01_1.bmp: number of the reference, of the distortion, and the level

The case of names differs between that list and the files, and among the files; it is ignored.

Opinions are mean opinion scores as they are published, from 0 to 9, higher for better images. The
columns `distortion` and `level` say what was done to an image.

Layout and scale are from the authors' page and readme, as programs quote and read them
(https://github.com/chaofengc/IQA-PyTorch, scripts/process_tid.py). The archive itself was not at
hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import tables

LABELS = "mos_with_names.txt"
NAME = re.compile(r"i(\d\d)_(\d\d)_([1-5])\.bmp")  # in lower case
DISTORTIONS = (
    "additive Gaussian noise",
    "noise in color components",
    "spatially correlated noise",
    "masked noise",
    "high frequency noise",
    "impulse noise",
    "quantization noise",
    "Gaussian blur",
    "image denoising",
    "JPEG compression",
    "JPEG2000 compression",
    "JPEG transmission errors",
    "JPEG2000 transmission errors",
    "non-eccentricity pattern noise",
    "local block-wise distortions",
    "mean shift",
    "contrast change",
    "change of color saturation",
    "multiplicative Gaussian noise",
    "comfort noise",
    "lossy compression of noisy images",
    "color quantization with dither",
    "chromatic aberrations",
    "sparse sampling and reconstruction",
)


def judgements(folder: Path) -> Iterator[tables.Judgement]:
    """The mean opinion scores, in the order of the list."""
    references = _any_case(folder / "reference_images")
    images = _any_case(folder / "distorted_images")
    for place, line in tables.lines(folder / LABELS):
        score, _, name = " ".join(line.split()).partition(" ")
        parts = NAME.fullmatch(name.lower())
        if parts is None or not 1 <= int(parts[2]) <= len(DISTORTIONS):
            raise ValueError(f"Expected SCORE iRR_DD_L.bmp. Received: {place}: {line!r}")
        reference = f"i{parts[1]}.bmp"
        columns = {
            "reference": f"reference_images/{references.get(reference, reference)}",
            "image": f"distorted_images/{images.get(name.lower(), name)}",
            "opinion": tables.number(place, score, 0, 9),
            "distortion": DISTORTIONS[int(parts[2]) - 1],
            "level": parts[3],
        }
        yield tables.Judgement(place, columns)


def _any_case(folder: Path) -> dict[str, str]:
    """The names of a folder's files by their lower case."""
    return {path.name.lower(): path.name for path in tables.images(folder)}


def main() -> None:
    parser = tables.options(__doc__)
    arguments = parser.parse_args()
    tables.save(parser, arguments, judgements(arguments.folder))


if __name__ == "__main__":
    main()
