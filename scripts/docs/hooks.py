"""MkDocs hooks: include text of other Markdown files, and set formulas as MathML.

Browsers draw MathML without a script.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert

ROOT = Path(__file__).parents[2]
INCLUDE = re.compile(r"^<!-- include (\S+) -->.*$", re.MULTILINE)
FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<latex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL
)
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|#)([^)]+)\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    return INCLUDE.sub(lambda match: included(match[1]), markdown)


def on_page_content(html: str, **_: Any) -> str:
    return FORMULA.sub(_mathml, html)


def included(name: str) -> str:
    """The text of a Markdown file in the repository's root, below its title.

    Links are changed to those from docs/.
    """
    return LINK.sub(_from_docs, (ROOT / name).read_text().split("\n", 1)[1])


def _from_docs(match: re.Match) -> str:
    image, label, target = match.groups()
    if target.startswith("docs/"):
        return f"{image}[{label}]({target.removeprefix('docs/')})"
    if target.startswith("BENCHMARKS.md"):
        return f"[{label}]({target.replace('BENCHMARKS.md', 'performance.md')})"
    # The site has no other files of the repository.
    return label if target in label else f"{label} (`{target}`)"


def _mathml(match: re.Match) -> str:
    display = "block" if match["tag"] == "div" else "inline"
    mathml = convert(html.unescape(match["latex"]), display=display)
    assert "\\" not in mathml, f"unknown to latex2mathml: {match['latex']}"
    return mathml
