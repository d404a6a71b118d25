"""The command `lpips-tf`.

It is a package beside `lpips_tf`, so that help, completion and wrong usage answer at once:
`import lpips_tf` loads Keras and its backend, which takes seconds. A command imports it after it
has read its arguments.
"""
