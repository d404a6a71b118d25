"""Studies the intervals of `lpips_tf.evaluation.correlations`, for docs/own-judgements.md.

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

from lpips_tf._judgements.correlations import fit_logistic, kendall, pearson, spearman
from lpips_tf.evaluation import correlations

IMAGES = 20  # of each reference
REFERENCES = (5, 10, 25, 80)  # TID2013 has 25, KADID-10k 81
OF_REFERENCE, OF_IMAGE = 0.3, 0.5  # standard deviations of what distances do not explain


def made_columns(rng: np.random.Generator, references: int) -> dict[str, np.ndarray]:
    distance = rng.normal(0, 1, (references, IMAGES))
    noise = rng.normal(0, OF_REFERENCE, (references, 1)) + rng.normal(0, OF_IMAGE, distance.shape)
    opinion = 1 / (1 + np.exp(distance))  # people's scales have ends
    return {
        "reference": np.repeat(np.arange(references), IMAGES),
        "distance": distance.ravel(),
        "opinion": (opinion + 0.25 * noise).ravel(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", type=int, default=500)
    count = parser.parse_args().datasets
    whole = made_columns(np.random.default_rng(0), 20_000)
    x, y = -whole["distance"], whole["opinion"]
    true = [spearman(x, y), kendall(x, y), pearson(x, y), pearson(fit_logistic(x, y), y)]
    rows = []
    for references in REFERENCES:
        rng = np.random.default_rng(references)
        found = (correlations(made_columns(rng, references)) for _ in range(count))
        held = np.array(
            [[c.low <= t <= c.high for c, t in zip(f, true, strict=True)] for f in found]
        )
        rows.append([references, *(f"{share:.1%}" for share in held.mean(axis=0))])
    print(table(["references", "Spearman", "Kendall", "Pearson", "fitted Pearson"], rows))


if __name__ == "__main__":
    main()
