"""What talks to the broker, as the core says."""
