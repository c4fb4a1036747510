"""Experiments on the broker: streams as the entry point, on a cluster of three nodes under faults. ``python
-m bench.streams``.
"""
