"""Hostile clients and backends next to well-behaved clients: what an attack costs the clients, the gateway
and the routers.
"""
