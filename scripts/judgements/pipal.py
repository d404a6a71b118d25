"""Makes a table of the judgements in PIPAL's training set (Gu et al., 2020).

    python scripts/judgements/pipal.py FOLDER [--output FOLDER/NAME.csv]

FOLDER has what the archives of https://github.com/HaomingCai/PIPAL-dataset unpack to:

    Train_Ref/                           A0001.bmp ..., 200 references
    Train_Label/                         A0001.txt ..., with lines such as A0001_00_00.bmp,1520.0648
    Distortion_1/ to Distortion_4/       A0001_00_00.bmp ..., 23,200 images

or the same under the names Reference_train/, MOS_Scores_train/ and Distortion/Distortion_1/, which
the authors' codes/data/README.md gives them.

Opinions are Elo ratings as they are published, such as 1520.0648. They are higher for better
images: the authors' code derives from them how likely people prefer an image. There is no published
range, so any finite number is accepted. The columns `distortion` and `type` are the numbers in an
image's name: the class of its distortion, such as 03, and the distortion within it, such as 03_21.
The authors' table 10 (arXiv:2011.15002) lists them; which number is which line of it is not
published.

The authors keep the opinions of the validation and test sets to themselves (issue 7 of their
repository), so there is no --split.

The first names are from programs that read the archives, such as scripts/process_pipal.py of
https://github.com/chaofengc/IQA-PyTorch. The archives themselves were not at hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import tables

LINE = re.compile(r"\s*((A\d{4})_((\d\d)_\d\d)\.bmp)\s*,(.*)")


def judgements(folder: Path) -> Iterator[tables.Judgement]:
    """The Elo ratings, reference by reference."""
    references = _first(folder, "Train_Ref", "Reference_train")
    labels = _first(folder, "Train_Label", "MOS_Scores_train")
    images = {path.name: path for path in folder.glob("**/Distortion_[1-4]/*.bmp")}
    for reference in tables.images(references, "A*.bmp"):
        for place, line in tables.lines(labels / f"{reference.stem}.txt"):
            parts = LINE.fullmatch(line)
            if parts is None or parts[2] != reference.stem:
                raise ValueError(
                    f"Expected {reference.stem}_CC_TT.bmp,SCORE. Received: {place}: {line!r}"
                )
            image = images.get(parts[1], folder / "Distortion_*" / parts[1])
            columns = {
                "reference": reference.relative_to(folder).as_posix(),
                "image": image.relative_to(folder).as_posix(),
                "opinion": tables.number(place, parts[5]),
                "distortion": parts[4],
                "type": parts[3],
            }
            yield tables.Judgement(place, columns)


def _first(folder: Path, *names: str) -> Path:
    """The first of the folders that exists."""
    for name in names:
        if (folder / name).is_dir():
            return folder / name
    raise FileNotFoundError(f"Expected the folder {' or '.join(names)} in {folder}. Received: none")


def main() -> None:
    parser = tables.options(__doc__)
    arguments = parser.parse_args()
    tables.save(parser, arguments, judgements(arguments.folder))


if __name__ == "__main__":
    main()
