"""Microbenchmarks of the parts of the hot path, with pyperf: ``python -m bench.micro``."""
