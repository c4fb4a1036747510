"""What Warren costs, measured: each module is a command, `python -m bench.<name>`. Nothing here is imported
by a service.
"""
