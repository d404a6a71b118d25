"""A metric for programs without this package."""

from lpips_tf.export.litert import export_litert
from lpips_tf.export.onnx import export_onnx
from lpips_tf.export.saved_model import export_saved_model

__all__ = ["export_litert", "export_onnx", "export_saved_model"]
