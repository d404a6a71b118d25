"""Studies `lpips_tf.evaluation.compare` on made judgements, for the table in docs/bapps.md.

Each of many data sets has triplets whose answer is clear to varying degrees. Five people judge
each, and two metrics choose the right image with given probabilities, not independently of each
other, as metrics err on the same examples. The table has the share of data sets whose interval
holds the true difference of the scores, and whose p-value is below 0.05.

python scripts/comparison_study.py
"""

from __future__ import annotations

import argparse

import numpy as np
from benchmarks.markdown_tables import table

from lpips_tf.evaluation import compare

PEOPLE = 5
CASES = [  # triplets, and by how much A is right more often than B
    (200, 0.0), (1000, 0.0), (5000, 0.0), (200, 0.04), (1000, 0.04), (5000, 0.04),
]  # fmt: skip
RIGHT, SHARED = 0.75, 0.6  # how often B is right, and for how many triplets A does as B


def made_columns(
    rng: np.random.Generator, count: int, better: float
) -> list[dict[str, np.ndarray]]:
    """The columns of two metrics, A and B, with the difference that their scores truly have."""
    clear = rng.uniform(0.5, 1, count)  # how many people find the right image nearer
    right = rng.integers(2, size=count)
    votes = rng.binomial(PEOPLE, clear) / PEOPLE
    judge = np.where(right, votes, 1 - votes)
    b = rng.random(count) < RIGHT
    alike = rng.random(count) < SHARED
    # A's own choices make up for those that it shares with B.
    a = np.where(alike, b, rng.random(count) < RIGHT + better / (1 - SHARED))
    found = []
    for chosen in (a, b):
        nearer = np.where(chosen, right, 1 - right)
        d0, d1 = nearer.astype(float), 1.0 - nearer
        ids = np.char.mod("%06d", np.arange(count))
        found.append({"id": ids, "d0": d0, "d1": d1, "judge": judge})
    return found


def true_difference(better: float) -> float:
    """The expected difference of the scores: a right choice gains 2·0.75 - 1 over a wrong one."""
    return better * (2 * 0.75 - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", type=int, default=500)
    count = parser.parse_args().datasets
    rows = []
    for triplets, better in CASES:
        rng = np.random.default_rng(triplets)
        found = [compare(*made_columns(rng, triplets, better)) for _ in range(count)]
        true = true_difference(better)
        covered = np.mean([c.low - 1e-12 <= true <= c.high + 1e-12 for c in found])
        small = np.mean([c.p_value < 0.05 for c in found])
        rows.append([f"{triplets:,}", f"{100 * true:.1f}%", f"{covered:.1%}", f"{small:.1%}"])
    header = ["triplets", "true difference", "intervals that hold it", "p < 0.05"]
    print(table(header, rows))


if __name__ == "__main__":
    main()
