"""What decides: no asyncio, no sockets, no clock and no chance of its own."""
