"""The pods that terminate WebSockets. ``core`` decides, ``shell`` does I/O, ``app`` wires them; ``python -m
gateway`` runs one.
"""
