"""A pytest plugin: compares images with stored ones, by the fixture `lpips_reference`.

Pytest imports it wherever this package is installed, so it is a package of its own that loads
TensorFlow only when a test needs it.
"""

from __future__ import annotations

import hashlib
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from lpips_tf import LPIPS

FOLDER = "lpips_references"  # beside the test's file
LONGEST = 150  # letters of a name
STORED = pytest.StashKey[set[Path]]()  # the images that this session has stored


class LPIPSReference(Protocol):
    """The type of the fixture `lpips_reference`."""

    def __call__(
        self,
        actual: Any,
        name: str | None = None,
        at_most: float = 0.05,
        metric: LPIPS | None = None,
    ) -> None:
        """Asserts that an image looks like the stored one.

        Args:
            actual: an image, as `lpips_tf.testing.assert_similar` takes it.
            name: of the stored image, without a suffix; by default those of the module and test.
            at_most: the largest distance.
            metric: an `LPIPS`; by default one with AlexNet.
        """


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option that stores images."""
    parser.getgroup("lpips").addoption(
        "--lpips-update",
        action="store_true",
        help="store the images of lpips_reference instead of comparing with them",
    )


def pytest_report_header(config: pytest.Config) -> str | None:
    """Adds a line to pytest's header if nothing is compared."""
    storing = config.getoption("--lpips-update")
    return "lpips: images are stored, and not compared" if storing else None


@pytest.fixture
def lpips_reference(request: pytest.FixtureRequest, tmp_path: Path) -> LPIPSReference:
    """A function that compares an image with the stored one in `lpips_references`.

    The folder lies beside the test's file. `pytest --lpips-update` stores the images.
    """
    used: set[str] = set()
    folder = request.path.parent / FOLDER
    default = _file_name(f"{request.path.stem}-{request.node.nodeid.partition('::')[2]}")
    stored = request.config.stash.setdefault(STORED, set())

    def check(
        actual: Any, name: str | None = None, at_most: float = 0.05, metric: LPIPS | None = None
    ) -> None:
        __tracebackhide__ = True
        from lpips_tf import testing

        name = default if name is None else name
        if not name or name != Path(name).name:
            pytest.fail(f"Expected a name without folders. Received: {name!r}", pytrace=False)
        if name in used:
            pytest.fail(f"Expected each name once in a test. Received: {name!r} again")
        used.add(name)
        path = folder / f"{name}.png"
        if request.config.getoption("--lpips-update") and path not in stored:
            _guarded(lambda: _store(actual, path, at_most, metric))
            stored.add(path)
        elif not path.exists():
            pytest.fail(
                f"Expected a stored image. There is none at {path}. "
                "pytest --lpips-update stores it",
                pytrace=False,
            )
        else:
            heatmap = tmp_path / f"{name}.png"
            _guarded(lambda: testing.assert_similar(actual, path, at_most, metric, heatmap))

    return check


def _guarded(action: Callable[[], object]) -> None:
    """Runs an action, and reports its failure in a sentence instead of a traceback."""
    __tracebackhide__ = True
    try:
        action()
    except (AssertionError, OSError) as error:
        pytest.fail(str(error), pytrace=False)


def _file_name(name: str) -> str:
    """A file name that is unique to a test."""
    quoted = urllib.parse.quote(name.replace("::", "-"), safe=" []()=,+@")
    if len(quoted) <= LONGEST:
        return quoted
    return f"{quoted[:LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _store(actual: Any, path: Path, at_most: float, metric: LPIPS | None) -> None:
    """Stores an image if it compares equal to itself; another could never pass."""
    from PIL import Image

    from lpips_tf import plots, testing
    from lpips_tf._support.whole_files import written_whole

    metric = testing.default_metric() if metric is None else metric
    array = testing.as_array("actual", actual)
    drawn = plots.as_uint8(array, metric.value_range)
    testing.assert_similar(array, drawn, at_most, metric)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise OSError(f"Expected a folder. Received a file: {path.parent}") from error
    with written_whole(path) as temporary:
        Image.fromarray(drawn).save(temporary, format="PNG")
