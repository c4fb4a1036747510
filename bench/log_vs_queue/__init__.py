"""The log as the entry point, compared with a quorum queue in front of it: ``python -m bench.log_vs_queue``."""
