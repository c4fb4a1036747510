"""What decides: no asyncio, no sockets, and no clock of its own."""
