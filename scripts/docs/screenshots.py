"""Draws the images of pages and heat maps in README.md and docs/.

make web && python scripts/docs/screenshots.py docs/images
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

import browser
from PIL import Image
from playwright.sync_api import Browser

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "images"
WIDTH = 1600  # of a heat map, in pixels
COPIES = ("darkened", "noisy", "compressed", "blurred")


def web_page(chromium: Browser) -> Image.Image:
    with browser.serving(ROOT / "build" / "web") as address:
        page = chromium.new_page(viewport={"width": 600, "height": 400})
        page.goto(address)
        browser.drop(page, "label:has(#reference)", EXAMPLES / "reference.png")
        browser.drop(page, "label:has(#image)", EXAMPLES / "noisy.png")
        page.wait_for_selector("#where", state="visible")
        return Image.open(io.BytesIO(page.screenshot(full_page=True)))


def report(
    chromium: Browser, file: Path, scheme: Literal["light", "dark"], width: int, top: int = 0
) -> Image.Image:
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(file.resolve().as_uri())
    page.click("summary >> nth=0")  # the heat map of the worst pair
    page.wait_for_function("document.querySelector('details img').complete")
    page.evaluate(f"scrollTo(0, {top})")
    return Image.open(io.BytesIO(page.screenshot()))


def command(folder: Path, *arguments: str | Path) -> None:
    program = [sys.executable, "-m", "lpips_tf_cli", *map(str, arguments)]
    subprocess.run(program, check=True, stdout=subprocess.DEVNULL, cwd=folder)


def heat_map(folder: Path) -> Image.Image:
    file = folder / "heatmap.png"
    images = [EXAMPLES / f"{name}.png" for name in ("noisy", "blurred")]
    command(folder, "pair", EXAMPLES / "reference.png", *images, "--heatmap", file, "--layers")
    drawn = Image.open(file).convert("RGB")
    size = (WIDTH, WIDTH * drawn.height // drawn.width)
    return drawn.resize(size, Image.Resampling.LANCZOS)


def written_report(folder: Path) -> Path:
    """A report of the example's copies, each compared with the reference."""
    for name in ("images", "references"):
        (folder / name).mkdir()
    for name in COPIES:
        shutil.copy(EXAMPLES / f"{name}.png", folder / "images")
        shutil.copy(EXAMPLES / "reference.png", folder / "references" / f"{name}.png")
    file = folder / "report.html"
    command(folder, "dirs", "references", "images", "--report", file)
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as temporary, browser.chromium() as chromium:
        file = written_report(Path(temporary))
        screenshots = {
            "web": web_page(chromium),
            "heatmap": heat_map(Path(temporary)),
            "report-light": report(chromium, file, "light", 1000),
            "report-dark": report(chromium, file, "dark", 390, top=870),
        }
    for name, screenshot in screenshots.items():
        screenshot.save(folder / f"{name}.webp", quality=70, method=6)


if __name__ == "__main__":
    main()
