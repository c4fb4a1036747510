"""Benches of single parts on the hot path, by pyperf. ``python -m bench.micro`` runs them."""
