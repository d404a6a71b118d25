"""The command `lpips-tf`.

A package of its own, beside `lpips_tf`, so that help, completion and wrong usage answer at once:
`import lpips_tf` loads Keras and its backend, which takes seconds. A command does that once its
arguments have been read.
"""
