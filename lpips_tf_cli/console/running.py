"""Runs a command line; a failure is one line on standard error and an exit code."""

from __future__ import annotations

import codecs
import collections
import io
import os
import re
import signal
import sys
import warnings
from typing import Any

import typer

from lpips_tf_cli.console.text import say

MOST_WARNINGS = 20  # that differ in names of files only
EXPECTED = {  # keys are Pydantic's names of errors
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "greater_than_equal": "a number of at least {ge}",
    "less_than_equal": "a number of at most {le}",
}


def run(app: typer.Typer, name: str) -> None:
    """Runs `app` and exits.

    The exit code is 0, 1 for a failure, 2 for wrong usage, 130 when interrupted, and 143 when
    terminated. With LPIPS_TF_TRACEBACK=1 in the environment a failure shows its traceback.
    """
    codecs.register_error("bytes_or_escapes", _bytes_or_escapes)
    stopped = _signals()
    if sys.stdout is None:  # closed by the caller
        sys.stdout = _Closed()
    if sys.stderr is None:
        sys.stderr = _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="bytes_or_escapes")
    warned: set[str] = set()
    alike: collections.Counter[str] = collections.Counter()

    def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
        if str(message) in warned:  # files may be read twice
            return
        warned.add(str(message))
        kind = re.sub(r"\S*[./\d]\S*", "", str(message))  # without the names of files
        alike[kind] += 1
        if alike[kind] <= MOST_WARNINGS:
            say(name, f"warning: {message}")
        elif alike[kind] == MOST_WARNINGS + 1:
            say(name, "warning: and more like this, which are not shown")

    warnings.showwarning = show_warning
    try:
        code = app(standalone_mode=False, prog_name=name) or 0
        sys.stdout.flush()
    except typer.TyperException as error:
        command = getattr(getattr(error, "ctx", None), "command_path", name)
        if message := _usage(error).rstrip("."):  # none without arguments, when help is shown
            say(name, f"{message}. See {command} --help.")
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except BrokenPipeError:  # the reader of standard output, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        if "LPIPS_TF_TRACEBACK" in os.environ:
            raise
        if not stopped:
            expected = isinstance(error, (OSError, ValueError, ImportError))
            say(name, str(error) if expected else _unexpected(error))
        code = 1
    sys.exit(128 + stopped[0] if stopped else code)


def _signals() -> list[int]:
    """A list that SIGINT and SIGTERM will be in once they come.

    Both raise exceptions, so that what has been begun is tidied up. C++ code that is just being
    imported or called makes other errors of these.
    """
    stopped: list[int] = []

    def stop(number: int, _: Any) -> None:
        stopped.append(number)
        raise SystemExit(128 + number) if number == signal.SIGTERM else KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as for a shell's background jobs
            signal.signal(number, stop)
    return stopped


class _Closed(io.TextIOBase):
    """Standard output that the caller closed: printing to it is an error."""

    def write(self, text: str) -> int:
        raise OSError("Cannot print: standard output is closed")


def _nowhere() -> io.TextIOWrapper:
    """Standard error that the caller closed: messages are lost, but not written into a file.

    The next file that is opened would get the number 2, which TensorFlow writes its log to.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    return open(2, "w")


def _usage(error: typer.TyperException) -> str:
    """The message for wrong usage, without the words of Pydantic, which parses Typer's values."""
    found: list[Any] = getattr(error.__cause__, "errors", list)()
    if found:
        problem = found[0]
        limits = {k: str(v).removesuffix(".0") for k, v in problem.get("ctx", {}).items()}
        expected = EXPECTED.get(problem["type"], "").format(**limits)
        error.message = (
            f"Expected {expected}. Received: {problem['input']}"
            if expected
            else problem["msg"].removeprefix("Value error, ")
        )
    return error.format_message()


def _unexpected(error: Exception) -> str:
    return f"{type(error).__name__}: {error} (LPIPS_TF_TRACEBACK=1 shows where)"


def _bytes_or_escapes(error: UnicodeError) -> tuple[str | bytes, int]:
    """An encoding error handler for file names.

    Names that are not text are printed as their bytes; characters that the encoding lacks are
    escaped.
    """
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)
