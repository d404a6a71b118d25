"""Studies `lpips_tf.evaluation.compare` on synthetic judgements, for docs/comparing-metrics.md.

Three kinds of data sets are drawn many times:

- Triplets whose answer is clear to varying degrees. Five people judge each, and two metrics choose
  the right image with given probabilities, not independently of each other, as metrics err on the
  same examples.
- The same with 30 triplets of each reference. How often a metric is right then depends on the
  reference, too. Unequal numbers of triplets are log-normal (σ = 1.2), with the same mean; six
  groups have triplets of all references each.
- Opinions of 20 images of each reference. What the distances of two metrics do not explain is
  partly common to both metrics, and partly to the images of a reference.

The tables have the share of data sets whose interval holds the true difference of the scores, and
whose p-value is below 0.05; with references also that of the intervals of a single score.

python scripts/comparison_study.py
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

import numpy as np
from benchmarks.markdown_tables import table
from scipy import stats

from lpips_tf.evaluation import compare, confidence_interval

PEOPLE = 5
CASES = [  # triplets, and by how much A is right more often than B
    (200, 0.0), (1000, 0.0), (5000, 0.0), (200, 0.04), (1000, 0.04), (5000, 0.04),
]  # fmt: skip
REFERENCE_CASES = [  # references, difference, and how the triplets are spread over them
    (5, 0.0, "30 each"), (10, 0.0, "30 each"), (25, 0.0, "30 each"), (80, 0.0, "30 each"),
    (10, 0.0, "unequal"), (25, 0.0, "unequal"), (25, 0.0, "in six groups"),
    (25, 0.04, "30 each"), (80, 0.04, "30 each"),
]  # fmt: skip
ROWS, SPREAD, GROUPS = 30, 1.2, 6
OF_REFERENCE_RIGHT = 0.15  # what a reference adds to how often a metric is right, or takes
OPINION_CASES = [  # references, difference
    (5, 0.0), (10, 0.0), (25, 0.0), (80, 0.0), (25, 0.02), (80, 0.02),
]  # fmt: skip
IMAGES = 20  # of each reference
RIGHT, SHARED = 0.75, 0.6  # how often B is right, and for how many triplets A does as B
CLEAR = 0.75  # of people see what is right, on average
TRUE_SCORE = RIGHT * CLEAR + (1 - RIGHT) * (1 - CLEAR)  # of B

# Of what distances do not explain, in standard deviations of what they do: B's own, A's own where
# A is better by 0.02, and what both have in common, for each reference and for each image.
OWN, BETTER = 0.4, 0.33
OF_REFERENCE, OF_IMAGE = 0.3, 0.4

Columns = dict[str, np.ndarray]


def triplets(
    rng: np.random.Generator, count: int, better: float, sizes: np.ndarray | None = None
) -> tuple[Columns, Columns]:
    """The columns of two metrics, A and B.

    Args:
        rng: draws them.
        count: of triplets.
        better: by how much A is right more often than B.
        sizes: the numbers of triplets of each reference; by default they have none.
    """
    of_a, of_b = np.zeros((2, count))
    said: Columns = {"id": np.char.mod("%06d", np.arange(count))}
    if sizes is not None:
        said["reference"] = np.repeat(np.arange(len(sizes)), sizes)
        sides = rng.choice([-1, 1], (2, len(sizes))) * OF_REFERENCE_RIGHT
        of_a, of_b = sides[:, said["reference"]]
    clear = rng.uniform(0.5, 1, count)  # how many people find the right image nearer
    right = rng.integers(2, size=count)
    votes = rng.binomial(PEOPLE, clear) / PEOPLE
    judge = np.where(right, votes, 1 - votes)
    b = rng.random(count) < RIGHT + of_b
    alike = rng.random(count) < SHARED
    # A's own choices make up for those that it shares with B.
    a = np.where(alike, b, rng.random(count) < RIGHT + better / (1 - SHARED) + of_a)
    found = []
    for chosen in (a, b):
        nearer = np.where(chosen, right, 1 - right)
        d0, d1 = nearer.astype(float), 1.0 - nearer
        found.append(said | {"d0": d0, "d1": d1, "judge": judge})
    return found[0], found[1]


def opinions(rng: np.random.Generator, references: int, own: float) -> tuple[Columns, Columns]:
    """The columns of two metrics, A and B, with A's own part of what distances do not explain."""
    shape = (references, IMAGES)
    opinion = rng.normal(0, 1, shape)
    common = rng.normal(0, OF_REFERENCE, (references, 1)) + rng.normal(0, OF_IMAGE, shape)
    said: Columns = {"opinion": opinion.ravel()}
    said |= {"reference": np.repeat(np.arange(references), IMAGES)}
    said |= {"id": np.char.mod("%06d", np.arange(opinion.size))}
    distances = []
    for deviation in (own, OWN):
        own_part = rng.normal(0, deviation, (references, 1)) / 2 + rng.normal(0, deviation, shape)
        distances.append({"distance": (own_part + common - opinion).ravel()})
    return said | distances[0], said | distances[1]


def true_difference(better: float) -> float:
    """The expected difference of the scores: a right choice gains 2·0.75 - 1 over a wrong one."""
    return better * (2 * CLEAR - 1)


HEADER = ["true difference", "intervals that hold it", "p < 0.05"]


def triplets_table(datasets: int) -> str:
    rows = []
    for count, better in CASES:
        rng = np.random.default_rng(count)
        pairs = (triplets(rng, count, better) for _ in range(datasets))
        true = true_difference(better)
        rows.append([f"{count:,}", f"{true:.1%}", *shares(pairs, true)])
    return table(["triplets", *HEADER], rows)


def references_table(datasets: int) -> str:
    rows = []
    for references, better, spread in REFERENCE_CASES:
        rng = np.random.default_rng(references)
        drawn = []
        for _ in range(datasets):
            sizes = np.full(references, ROWS)
            if spread == "unequal":
                weights = rng.lognormal(0, SPREAD, references)
                sizes = np.maximum(1, ROWS * weights / np.exp(SPREAD**2 / 2)).astype(int)
            drawn.append(triplets(rng, int(sizes.sum()), better, sizes))
        intervals = [confidence_interval(b) for _, b in drawn]
        held = np.mean([low <= TRUE_SCORE <= high for low, high in intervals])
        true = true_difference(better)
        pairs = [in_groups(*pair) for pair in drawn] if "groups" in spread else drawn
        rows.append([f"{references}", spread, f"{true:.1%}", f"{held:.1%}", *shares(pairs, true)])
    header = ["references", "triplets", HEADER[0], "intervals of a score that hold it"]
    return table([*header, *HEADER[1:]], rows)


def in_groups(a: Columns, b: Columns) -> tuple[list[Columns], list[Columns]]:
    """The same triplets, dealt out to groups."""
    found_a, found_b = (
        [{name: column[i::GROUPS] for name, column in x.items()} for i in range(GROUPS)]
        for x in (a, b)
    )
    return found_a, found_b


def opinions_table(datasets: int) -> str:
    rows = []
    for count, better in OPINION_CASES:
        own = BETTER if better else OWN
        a, b = opinions(np.random.default_rng(0), 20_000, own)
        scores = [stats.spearmanr(-x["distance"], x["opinion"]).statistic for x in (a, b)]
        true = scores[0] - scores[1] if better else 0.0
        rng = np.random.default_rng(count)
        pairs = (opinions(rng, count, own) for _ in range(datasets))
        rows.append([f"{count}", f"{true:.3f}", *shares(pairs, true)])
    return table(["references", *HEADER], rows)


TABLES = {"triplets": triplets_table, "references": references_table, "opinions": opinions_table}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", type=int, default=500)
    parser.add_argument("--only", choices=TABLES)
    arguments = parser.parse_args()
    for name, measure in TABLES.items():
        if arguments.only in (None, name):
            print(measure(arguments.datasets))


def shares(pairs: Iterable[tuple[Any, Any]], true: float) -> list[str]:
    """How often the interval holds the true difference, and how often p is below 0.05."""
    found = [compare(a, b) for a, b in pairs]
    covered = np.mean([c.low - 1e-12 <= true <= c.high + 1e-12 for c in found])
    small = np.mean([c.p_value < 0.05 for c in found])
    return [f"{covered:.1%}", f"{small:.1%}"]


if __name__ == "__main__":
    main()
