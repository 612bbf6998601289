"""The Levenberg-Marquardt solvers alone, on outside reference problems: ``python -m benchmarks.reference``."""
