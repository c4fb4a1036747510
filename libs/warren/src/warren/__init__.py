"""What the gateway and the router share. This module holds the version and nothing else."""

__version__ = "0.1.0"
