"""A metric for programs without this package."""

from lpips_tf.export.saved_model import export_saved_model

__all__ = ["export_saved_model"]
