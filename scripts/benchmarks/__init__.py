"""What the benchmarks and studies measure with: both sides, synthetic data, times, tables."""
