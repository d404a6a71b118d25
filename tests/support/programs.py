"""Programs that run in this process."""

import sys
import warnings

import pytest

IGNORED = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


def exit_code(main, *arguments):
    """Runs `main` with these arguments, and with the warnings that Python shows without pytest."""
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.resetwarnings()
        for category in IGNORED:
            warnings.simplefilter("ignore", category)
        patch.setattr(sys, "argv", ["program", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
    return stop.value.code
