"""The pure core: distributions, worlds, evaluators, scores. NumPy and SciPy only."""
