"""Writes docs/options.md: every option of the command, from its help.

python scripts/docs/options.py
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/options.md"
HEAD = """# Every option

`lpips-tf COMMAND --help` prints the same. [On the command line](command-line.md) shows examples.
"""
CHANGES = (  # to what Typer writes
    (r"(?s)\A# .*?(?=\n## )", ""),  # the options of the program itself
    (r"(?m)^\*\*Commands\*\*:\n\n(\* .*\n)+\n", ""),  # their descriptions are cut off
    (r"(?m)^\* `--help`.*\n", ""),
    (r"\*\*Options\*\*:\n\n\n", ""),  # where --help is the only one
    (r"```console\n\$ ", "```text\n"),
    (r"\{(\S+?)(\.\.\.)?\}(\.\.\.)?", r"\1\2"),
    (r" <list\[Path\]>", ""),
    ("<int range>", "<int>"),
    (r"`: \[required\]", "`"),
    (r"\n+\Z", "\n"),
)


def page() -> str:
    """The page's text, as Typer describes the command."""
    command = (sys.executable, "-m", "typer", "lpips_tf_cli.main", "utils", "docs")
    text = subprocess.run(
        [*command, "--name", "lpips-tf"], capture_output=True, text=True, check=True
    ).stdout
    for pattern, replacement in CHANGES:
        text = re.sub(pattern, replacement, text)
    return HEAD + text


if __name__ == "__main__":
    PAGE.write_text(page())
