"""Makes a table of the judgements in a split of the PieAPP data set (Prashnani et al., 2018).

    python scripts/judgements/pieapp.py FOLDER --split train|val|test [--estimated]
        [--output FOLDER/NAME.csv]

FOLDER is the folder PieAPP_dataset_CVPR_2018 of the archive at
https://github.com/prashnani/PerceptualImageError/blob/master/dataset/dataset_README.md:

    reference_images/train/ref_1.png ...
    distorted_images/train/ref_1/distort_1_jpegCompression_inter_5.png ...
    labels/train/ref_1_pairwise_labels.csv ...

and likewise val/ and test/. The columns of the labels are the reference, distorted image A,
distorted image B, raw preference for A and processed preference for A; those of the test set end
with one, preference for A.

A preference is the share of 40 people who found A nearer to the reference. So A is `image1`, B is
`image0`, and `judge` is the preference as it is published. For train and val it is the raw
preference, and pairs that nobody was asked about are left out. With --estimated it is the processed
preference instead, which the authors estimate by maximum likelihood for all pairs of a set.

In the test set people were asked about all pairs. Pairs in which the reference is one of the two
images are left out: the authors use them to set the zero of their scores, and do not count them
among its 4,200 pairs.

Contents and direction of the columns, and the outer folders, are from the authors'
dataset_README.md. The names of columns, inner folders and the unpacked folder are from programs of
others that agree, such as scripts/process_pieapp.py of https://github.com/chaofengc/IQA-PyTorch.
The archive itself was not at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import tables

SPLITS = ("train", "val", "test")
A, B = "distorted image A", "distorted image B"
RAW, ESTIMATED, TEST = "raw preference for A", "processed preference for A", "preference for A"


def judgements(folder: Path, split: str, estimated: bool) -> Iterator[tables.Judgement]:
    """The pairs of a split, reference by reference."""
    preference = TEST if split == "test" else ESTIMATED if estimated else RAW
    for reference in tables.images(folder / "reference_images" / split, "ref_*.png"):
        labels = folder / "labels" / split / f"{reference.stem}_pairwise_labels.csv"
        images = f"distorted_images/{split}/{reference.stem}"
        for place, row in tables.csv_rows(labels, (A, B, preference)):
            first = next(iter(row.values()))
            if first != reference.name:
                raise ValueError(
                    f"Expected the reference {reference.name}. Received: {place}: {first!r}"
                )
            unasked = preference == RAW and not row[RAW].strip()
            if unasked or reference.name in (row[A], row[B]):
                continue
            columns = {
                "reference": f"reference_images/{split}/{reference.name}",
                "image0": f"{images}/{row[B]}",
                "image1": f"{images}/{row[A]}",
                "judge": tables.number(place, row[preference], 0, 1),
            }
            yield tables.Judgement(place, columns)


def main() -> None:
    parser = tables.options(__doc__, SPLITS)
    parser.add_argument(
        "--estimated",
        action="store_true",
        help="all pairs of train or val, with preferences that the authors estimate",
    )
    arguments = parser.parse_args()
    if arguments.estimated and arguments.split == "test":
        parser.exit(2, f"{parser.prog}: Expected --estimated with --split train or val\n")
    found = judgements(arguments.folder, arguments.split, arguments.estimated)
    kind = "estimated" if arguments.estimated else ""
    tables.save(parser, arguments, found, kind=kind)


if __name__ == "__main__":
    main()
