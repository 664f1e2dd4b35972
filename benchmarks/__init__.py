"""Benchmarks: each `benchmarks/<name>.py` has `main()` and prints both sides, measured in one run, and their ratio."""
