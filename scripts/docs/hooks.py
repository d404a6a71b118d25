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
INCLUDE = re.compile(r"^<!-- include (\S+?)(?:#(.+?))? -->.*$", re.MULTILINE)
FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<latex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL
)
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|#)([^)]+)\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    return INCLUDE.sub(lambda match: included(match[1], match[2]), markdown)


def on_page_content(html: str, **_: Any) -> str:
    return FORMULA.sub(_mathml, html)


def included(name: str, heading: str | None = None) -> str:
    """The text of a Markdown file in the repository's root, or of the section under a heading.

    Links are changed to those from docs/.
    """
    text = (ROOT / name).read_text()
    if heading is None:
        text = text.split("\n", 1)[1]  # the page has its own title
    else:
        start = re.search(rf"^(#+) {re.escape(heading)}\n", text, re.MULTILINE)
        assert start, f"{name} has no heading {heading!r}"
        rest = text[start.end() :]
        end = re.search(rf"^#{{1,{len(start[1])}}} ", rest, re.MULTILINE)
        text = re.sub("^###", "##", rest[: end.start() if end else None], flags=re.MULTILINE)
    return LINK.sub(_from_docs, text)


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
