"""Makes a table of the judgements in a split of NIGHTS, DreamSim's data set (Fu et al., 2023).

    python scripts/judgements/nights.py FOLDER --split train|val|test [--output FOLDER/NAME.csv]

FOLDER is the folder nights of https://data.csail.mit.edu/nights/nights.zip:

    data.csv                    a row for each triplet, with the columns left_vote, right_vote,
                                votes, ref_path, left_path, right_path, split, is_imagenet
                                and others
    ref/000/000.png ...         references
    distort/000/000_0.png ...   two images for each

The people who judged a triplet agree: one of `left_vote` and `right_vote` is 1, the other is 0, and
`votes` is the number of people. The right image is `image1`, and `judge` is `right_vote`. Triplets
with fewer than six votes are left out, as the authors do. The table also has the columns `votes`
and `is_imagenet`. The authors score the test set for each value of `is_imagenet`.

Layout, direction and the least number of votes are from the authors' dataset/README.md,
dataset/dataset.py and evaluation/score.py at https://github.com/ssundaram21/dreamsim. These read
most columns by position. The names of columns, and that left_vote and right_vote are 0 or 1, are
from programs of others that agree. The archive itself was not at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import tables

LABELS = "data.csv"
SPLITS = ("train", "val", "test")
COLUMNS = ("left_vote", "right_vote", "votes", "ref_path", "left_path", "right_path", "split",
           "is_imagenet")  # fmt: skip
LEAST_VOTES = 6


def judgements(folder: Path, split: str) -> Iterator[tables.Judgement]:
    """The triplets of a split, in the order of data.csv."""
    for place, row in tables.csv_rows(folder / LABELS, COLUMNS):
        if row["split"] not in SPLITS:
            raise ValueError(
                f"Expected the split {', '.join(SPLITS)}. Received: {place}: {row['split']!r}"
            )
        left, right = (tables.number(place, row[name], 0, 1) for name in COLUMNS[:2])
        if {float(left), float(right)} != {0, 1}:
            raise ValueError(
                f"Expected 0 and 1 as left_vote and right_vote. Received: {place}: {left}, {right}"
            )
        votes = tables.number(place, row["votes"])
        imagenet = row["is_imagenet"].strip().lower()
        if imagenet not in ("true", "false"):
            raise ValueError(f"Expected is_imagenet as true or false. Received: {place}")
        if row["split"] != split or float(votes) < LEAST_VOTES:
            continue
        columns = {
            "reference": row["ref_path"],
            "image0": row["left_path"],
            "image1": row["right_path"],
            "judge": right,
            "votes": votes,
            "is_imagenet": imagenet,
        }
        yield tables.Judgement(place, columns)


def main() -> None:
    parser = tables.options(__doc__, SPLITS)
    arguments = parser.parse_args()
    found = judgements(arguments.folder, arguments.split)
    tables.save(parser, arguments, found, labels=LABELS)


if __name__ == "__main__":
    main()
