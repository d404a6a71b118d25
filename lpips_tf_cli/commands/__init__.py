"""The subcommands of `lpips-tf`: options and what is printed; the work is in the other folders."""
