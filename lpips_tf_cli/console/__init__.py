"""Code that all commands share: options, output files, messages, exit codes, progress."""
