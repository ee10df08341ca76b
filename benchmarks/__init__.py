"""Measurements: `python -m benchmarks` runs all and writes JSON to benchmarks/results/."""
