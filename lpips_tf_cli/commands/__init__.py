"""The subcommands of `lpips-tf`: options and output. The work is done in the other folders."""
