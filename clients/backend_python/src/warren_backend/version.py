"""The version of this package: that of the Warren which it was released with. It holds nothing else."""

__version__ = "0.1.0"
