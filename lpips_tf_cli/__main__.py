"""The program `lpips-tf`, which is also `python -m lpips_tf_cli`."""

import signal


def main() -> None:
    """Runs `lpips-tf`."""
    # Ctrl-C ends the program while it starts, without the traceback of an import.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from lpips_tf_cli import main as program

    program.main()


if __name__ == "__main__":
    main()
