"""What all commands share: options, output files, messages, exit codes, progress bars."""
