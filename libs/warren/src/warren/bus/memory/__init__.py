"""A broker within this process: what stands behind ``warren.bus`` in the embedded mode and in unit tests."""
