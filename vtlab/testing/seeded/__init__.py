"""Networks with seeded weights, for tests and benchmarks where the official checkpoints are not at hand."""
