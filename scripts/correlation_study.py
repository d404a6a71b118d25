"""Studies the intervals of `lpips_tf.evaluation.correlations`, for the table in docs/bapps.md.

Each of many data sets has references with 20 distorted images each. Distances and opinions have a
known correlation; part of what differs is common to the images of a reference, as in quality
databases. The table has the share of data sets whose 95% interval holds the true value, that of a
data set of 20,000 references.

python scripts/correlation_study.py
"""

from __future__ import annotations

import argparse

import numpy as np
from benchmarks.markdown_tables import table

from lpips_tf._judgements.correlations import pearson, resampled_rows, spearman, with_interval

IMAGES = 20  # of each reference
REFERENCES = (25, 80)  # TID2013 has 25, KADID-10k 81
OF_REFERENCE, OF_IMAGE = 0.3, 0.5  # standard deviations of what distances do not explain


def made_columns(rng: np.random.Generator, references: int) -> dict[str, np.ndarray]:
    distance = rng.normal(0, 1, (references, IMAGES))
    noise = rng.normal(0, OF_REFERENCE, (references, 1)) + rng.normal(0, OF_IMAGE, distance.shape)
    return {
        "reference": np.repeat(np.arange(references), IMAGES),
        "distance": distance.ravel(),
        "opinion": (-distance + noise).ravel(),
    }


def intervals_hold(columns: dict[str, np.ndarray], true: list[float]) -> list[bool]:
    """Whether Spearman's and Pearson's interval do; Kendall's takes ten times as long."""
    draws = resampled_rows(columns["reference"])
    x, y = -columns["distance"], columns["opinion"]
    found = [with_interval(f, x, y, draws) for f in (spearman, pearson)]
    return [c.low <= value <= c.high for c, value in zip(found, true, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", type=int, default=500)
    count = parser.parse_args().datasets
    whole = made_columns(np.random.default_rng(0), 20_000)
    true = [f(-whole["distance"], whole["opinion"]) for f in (spearman, pearson)]
    rows = []
    for references in REFERENCES:
        rng = np.random.default_rng(references)
        held = np.array([intervals_hold(made_columns(rng, references), true) for _ in range(count)])
        rows.append([references, *(f"{share:.1%}" for share in held.mean(axis=0))])
    print(table(["references", "Spearman", "Pearson"], rows))


if __name__ == "__main__":
    main()
