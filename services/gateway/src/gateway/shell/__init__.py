"""What does the gateway's I/O: sockets, tokens, the bus. It gets, asks the core, and does what the core said,
in order.
"""
