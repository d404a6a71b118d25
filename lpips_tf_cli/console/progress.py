"""Progress bars on the terminal, called as `progress(done, total)` like every such callback."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class ProgressBar:
    """A progress bar.

    Args:
        rich: the Rich progress display that draws it, with one task.
    """

    def __init__(self, rich: Progress) -> None:
        self._rich = rich

    def __call__(self, done: int, total: int) -> None:
        """Shows that `done` of `total` steps are done."""
        self._rich.update(self._rich.task_ids[0], completed=done, total=total)

    def describe(self, text: str) -> None:
        """Replaces the text beside the bar."""
        self._rich.update(self._rich.task_ids[0], description=text)


@contextlib.contextmanager
def progress_bar(description: str) -> Iterator[ProgressBar]:
    """A bar on standard error, only on a terminal, that vanishes when the block ends."""
    rich = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    rich.add_task(description, total=None)
    with rich if sys.stderr.isatty() else contextlib.nullcontext():
        yield ProgressBar(rich)
