"""Benchmarks: what Warren costs. Each module is a command, ``python -m bench.<name>``. No service imports
anything from here.
"""
