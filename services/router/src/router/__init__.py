"""The router: knows the rooms of its shards, numbers messages and brings them to the gateways that have
members there.
"""
