"""Mutants: services with one thing broken on purpose, so that the checker can be seen to find it.

Each module here is run in a service's place (``python -m tests.faults.mutants.no_dedup``): it changes one
function of the real code in its own process and then runs the real service. Nothing of this is in the
product. ``world.Measures.mutant`` names one.
"""

from __future__ import annotations

import ast
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

from warren import envelope as wire

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Return every mutant's name."""
    return sorted(path.stem for path in _FOLDER.glob("*.py") if path.stem != "__init__")


def service_of(name: str) -> str:
    """Return which service a mutant takes the place of (its module's SERVICE), without importing it."""
    for node in ast.parse((_FOLDER / f"{name}.py").read_text()).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="SERVICE")], value=ast.Constant(value=str() as service)):
                return service
    raise ValueError(f"the mutant {name} says no SERVICE")


def on_decoding(change: Callable[[wire.Envelope | Exception], wire.Envelope | Exception]) -> None:
    """Let ``change`` see, and replace, every envelope that this process decodes. Call it before the service
    is imported.
    """
    decode, decode_each = wire.decode, wire.decode_each
    wire.decode = lambda body: [change(envelope) for envelope in decode(body)]  # type: ignore[misc]
    wire.decode_each = lambda body: [change(envelope) for envelope in decode_each(body)]  # type: ignore[misc]


def run(service: str) -> None:
    """Run the service's own ``__main__`` in this process, as it is after the change."""
    sys.argv = [service]
    runpy.run_module(service, run_name="__main__", alter_sys=True)
