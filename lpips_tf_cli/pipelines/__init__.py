"""Apache Beam pipelines."""
