"""What the client knows and decides, without I/O: no asyncio, no socket, no clock, no randomness."""
