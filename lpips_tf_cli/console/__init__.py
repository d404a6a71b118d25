"""What every command shares: options, output files, messages, exit codes, progress."""
