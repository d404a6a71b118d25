"""Progress bars on the terminal, called as `progress(done, total)`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


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


class _Speed(ProgressColumn):
    """Shows the steps per second.

    Args:
        unit: what a step is, in the plural.
    """

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        """The speed, once there is one."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.0f} {self._unit}/s")


@contextlib.contextmanager
def progress_bar(description: str, unit: str | None = None) -> Iterator[ProgressBar]:
    """A bar on standard error, if that is a terminal, which disappears when the block ends.

    With a unit, in the plural, it shows the steps in a second too.
    """
    rich = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        *([_Speed(unit)] if unit else []),
        console=Console(stderr=True),
        transient=True,
    )
    rich.add_task(description, total=None)
    with rich if sys.stderr.isatty() else contextlib.nullcontext():
        yield ProgressBar(rich)
