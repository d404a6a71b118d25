"""`python -m lpips_tf_cli` is `lpips-tf`."""

from lpips_tf_cli.main import main

main()
