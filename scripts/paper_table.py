"""Sets reports of `lpips-tf evaluate --json` beside the numbers of the paper's Table 5.

    python scripts/paper_table.py FOLDER

prints a Markdown table of the reports in FOLDER, which `evaluate_paper.sh` writes. The published
numbers are from arXiv:1801.03924v2.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
from pathlib import Path

from benchmarks.markdown_tables import table

PUBLISHED = Path(__file__).with_name("published_table5.csv")
ROWS = [  # the paper's name of the row, our report
    ("L2", "l2"),
    ("SSIM", "dssim"),
    *(
        (f"{name}{suffix}", f"{model}-{net}")
        for model, names, suffix in (
            ("baseline", ("SqueezeNet", "AlexNet", "VGG"), ""),
            ("lpips", ("Squeeze", "Alex", "VGG"), " – lin"),
        )
        for name, net in zip(names, ("squeeze", "alex", "vgg"), strict=True)
    ),
]


def published() -> dict[str, dict[str, float]]:
    """The paper's scores in percent, by its names of rows and our names of data sets."""
    with PUBLISHED.open(newline="", encoding="utf-8") as file:
        return {
            row.pop("row"): {name: float(score) for name, score in row.items()}
            for row in csv.DictReader(file)
        }


def received(path: Path) -> dict[str, float] | None:
    """The scores of a report in percent; None if there is no such report."""
    if not path.exists():
        return None
    report = json.loads(path.read_text())
    return {entry["dataset"]: 100 * entry["score"] for entry in report["datasets"]}


def paper_table(folder: Path) -> str:
    paper = published()
    datasets = list(paper["Human"])
    rows = []
    for name, report in ROWS:
        rows.append([name, "paper", *_figures(paper[name], datasets)])
        versions = [""] if report in ("l2", "dssim") else ["-0.1", "-0.0"]
        for version in versions:
            scores = received(folder / f"{report}{version}.json")
            source = f"lpips_tf {version[1:]}".strip()
            rows.append([name, source, *_figures(scores, datasets)])
    header = ["", "", *(name.removeprefix("val/") for name in datasets), "mean"]
    return table(header, rows)


def _figures(scores: dict[str, float] | None, datasets: list[str]) -> list[str]:
    if scores is None:
        return ["–"] * (len(datasets) + 1)
    mean = statistics.mean(scores[name] for name in datasets)
    return [f"{score:.1f}" for score in (*(scores[name] for name in datasets), mean)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the reports")
    print(paper_table(parser.parse_args().folder))


if __name__ == "__main__":
    main()
