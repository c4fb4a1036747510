"""The scenarios: each file leads a client through one part of the protocol. Importing this registers them all.

A script is plain asyncio over the contracts of ``sockets`` and ``adapters``, and takes its time from the
event loop: so it runs against real sockets, and in virtual time against a client in memory.
"""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
