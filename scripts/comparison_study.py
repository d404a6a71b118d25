"""Studies `lpips_tf.evaluation.compare` on synthetic judgements, for docs/comparing-metrics.md.

Three kinds of data sets are drawn many times:

- Triplets whose answer is clear to varying degrees. Five people judge each, and two metrics choose
  the right image with given probabilities, not independently of each other, as metrics err on the
  same examples.
- The same with 30 triplets of each reference. How often a metric is right then depends on the
  reference, too.
- Opinions of 20 images of each reference. What the distances of two metrics do not explain is
  partly common to both metrics, and partly to the images of a reference.

The tables have the share of data sets whose interval holds the true difference of the scores, and
whose p-value is below 0.05; with references also that of the intervals of a single score.

python scripts/comparison_study.py
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

import numpy as np
from benchmarks.markdown_tables import table
from scipy import stats

from lpips_tf.evaluation import compare, confidence_interval

PEOPLE = 5
CASES = [  # triplets, and by how much A is right more often than B
    (200, 0.0), (1000, 0.0), (5000, 0.0), (200, 0.04), (1000, 0.04), (5000, 0.04),
]  # fmt: skip
REFERENCE_CASES = [(5, 0.0), (10, 0.0), (25, 0.0), (80, 0.0), (25, 0.04), (80, 0.04)]
ROWS, OF_REFERENCE_RIGHT = 30, 0.15  # triplets of a reference, and what it adds or takes
OPINION_CASES = [
    (5, 0.0),
    (10, 0.0),
    (25, 0.0),
    (80, 0.0),
    (25, 0.02),
    (80, 0.02),
]  # references, difference
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
    rng: np.random.Generator, count: int, better: float, references: int | None = None
) -> tuple[Columns, Columns]:
    """The columns of two metrics, A and B, with the difference that their scores truly have."""
    of_a, of_b = np.zeros((2, count))
    said: Columns = {"id": np.char.mod("%06d", np.arange(count))}
    if references is not None:
        said["reference"] = np.repeat(np.arange(references), count // references)
        sides = rng.choice([-1, 1], (2, references)) * OF_REFERENCE_RIGHT
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", type=int, default=500)
    parser.add_argument("--only", choices=["triplets", "references", "opinions"])
    args = parser.parse_args()
    header = ["true difference", "intervals that hold it", "p < 0.05"]
    if args.only in (None, "triplets"):
        rows = []
        for count, better in CASES:
            rng = np.random.default_rng(count)
            pairs = (triplets(rng, count, better) for _ in range(args.datasets))
            true = true_difference(better)
            rows.append([f"{count:,}", f"{true:.1%}", *shares(pairs, true)])
        print(table(["triplets", *header], rows))
    if args.only in (None, "references"):
        rows = []
        for references, better in REFERENCE_CASES:
            rng = np.random.default_rng(references)
            count = references * ROWS
            drawn = [triplets(rng, count, better, references) for _ in range(args.datasets)]
            true = true_difference(better)
            intervals = [confidence_interval(b) for _, b in drawn]
            held = np.mean([low <= TRUE_SCORE <= high for low, high in intervals])
            rows.append([f"{references}", f"{true:.1%}", f"{held:.1%}", *shares(drawn, true)])
        print(
            table(["references", header[0], "intervals of a score that hold it", *header[1:]], rows)
        )
    if args.only in (None, "opinions"):
        rows = []
        for count, better in OPINION_CASES:
            own = BETTER if better else OWN
            a, b = opinions(np.random.default_rng(0), 20_000, own)
            scores = [stats.spearmanr(-x["distance"], x["opinion"]).statistic for x in (a, b)]
            true = scores[0] - scores[1] if better else 0.0
            rng = np.random.default_rng(count)
            pairs = (opinions(rng, count, own) for _ in range(args.datasets))
            rows.append([f"{count}", f"{true:.3f}", *shares(pairs, true)])
        print(table(["references", *header], rows))


def shares(pairs: Iterable[tuple[Columns, Columns]], true: float) -> list[str]:
    """How often the interval holds the true difference, and how often p is below 0.05."""
    found = [compare(a, b) for a, b in pairs]
    covered = np.mean([c.low - 1e-12 <= true <= c.high + 1e-12 for c in found])
    small = np.mean([c.p_value < 0.05 for c in found])
    return [f"{covered:.1%}", f"{small:.1%}"]


if __name__ == "__main__":
    main()
