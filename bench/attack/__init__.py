"""One who means harm beside clients who behave well: what the attack costs those, and the gateway and the
routers.
"""
