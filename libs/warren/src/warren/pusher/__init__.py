"""The Pusher Channels protocol, as far as gateways and routers share it: apps and their signatures, how
channels, users and events map to rooms, users and messages of Warren. No I/O, and no message of its own.
"""
