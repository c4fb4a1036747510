"""Gateways and a router in one process, for trials: ``python -m embedded``."""
