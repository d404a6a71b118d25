"""The command's entry point: one line on standard error for what goes wrong, and the exit code."""

from __future__ import annotations

import io
import os
import sys
import warnings
from typing import cast

import typer

from lpips_tf_cli import compare

app = typer.Typer(
    help="LPIPS, the perceptual distance between images: 0 for equal ones, higher for others.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("pair")(compare.pair)
app.command("dirs")(compare.dirs)
app.command("all-pairs")(compare.all_pairs)


def main() -> None:
    """Runs `lpips-tf`: exit code 0, 1 for what failed, 2 for wrong usage, 130 when interrupted."""
    # A file name need not be valid text; it is printed as the bytes that it has.
    for stream in (sys.stdout, sys.stderr):
        cast(io.TextIOWrapper, stream).reconfigure(errors="surrogateescape")
    warnings.showwarning = _show_warning
    try:
        code = app(standalone_mode=False) or 0
        sys.stdout.flush()
    except typer.TyperException as error:
        command = getattr(getattr(error, "ctx", None), "command_path", "lpips-tf")
        code = _fail(f"{error.format_message()} See {command} --help.", error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except BrokenPipeError:  # the reader of standard output, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        if "LPIPS_TF_TRACEBACK" in os.environ:
            raise
        expected = isinstance(error, (OSError, ValueError, ImportError))
        code = _fail(
            str(error)
            if expected
            else f"{type(error).__name__}: {error} (LPIPS_TF_TRACEBACK=1 shows where)",
            1,
        )
    sys.exit(code)


def _fail(message: str, code: int) -> int:
    print("lpips-tf:", " ".join(message.split()), file=sys.stderr)
    return code


def _show_warning(message, category, filename, lineno, file=None, line=None):
    print("lpips-tf: warning:", " ".join(str(message).split()), file=sys.stderr)
