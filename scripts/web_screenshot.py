"""The picture of examples/web in the README.

make web && python scripts/web_screenshot.py examples/web.webp
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import browser
from PIL import Image

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "examples" / "pictures"


def screenshot(reference: Path, image: Path) -> Image.Image:
    with browser.serving(ROOT / "build" / "web") as address, browser.chromium() as chromium:
        page = chromium.new_page(viewport={"width": 600, "height": 400})
        page.goto(address)
        browser.drop(page, "label:has(#reference)", reference)
        browser.drop(page, "label:has(#image)", image)
        page.wait_for_selector("#where", state="visible")
        return Image.open(io.BytesIO(page.screenshot(full_page=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    picture = screenshot(PICTURES / "reference.png", PICTURES / "noisy.png")
    picture.save(arguments.output, quality=70, method=6)


if __name__ == "__main__":
    main()
