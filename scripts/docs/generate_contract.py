"""Makes what is made from the contract: docs/reference, types for TypeScript and Python, and the schemas of
the conformance kit; or says (``--check``) where they differ from it.
"""

from __future__ import annotations

import difflib
import json
import sys
from pathlib import Path

from scripts.docs.contract_pages import reference_pages
from scripts.docs.generate_docs import NOTE
from scripts.docs.python_types import backend_types, python_client_types, python_types
from scripts.docs.typescript_types import typescript_types

from warren import __version__
from warren.contract.asyncapi import asyncapi
from warren.contract.client_frames import CLIENT_FRAMES
from warren.contract.schemas import selected
from warren.topology import Topology

KIT = "tools/warren_conformance/src/warren_conformance"
ROOT = Path(__file__).resolve().parents[2]


def files() -> dict[str, str]:
    """Return path ▶ text of each file that is made."""
    document = json.dumps(asyncapi(Topology(), __version__), indent=1, ensure_ascii=False) + "\n"
    pages = {f"docs/reference/{name}": text for name, text in reference_pages(NOTE).items()}
    return {
        **pages,
        "docs/reference/asyncapi.json": document,
        "docs/examples/warren_types.py": python_types(),
        "clients/backend_python/src/warren_backend/contract.py": backend_types(),
        "clients/js/src/protocol.ts": typescript_types(),
        f"{KIT}/client_frames.schema.json": client_frame_schemas(),
        "clients/python/src/warren_client/wire.py": python_client_types(),
    }


def client_frame_schemas() -> str:
    """Return the schemas of clients' frames, for the conformance kit, which knows none of Warren's code."""
    document = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "components": {"schemas": selected(CLIENT_FRAMES, "draft-07")},
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write the files, or compare them."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: scripts/docs/generate [--check]\n")
        return 2
    differing = 0
    for name, text in files().items():
        path = ROOT / name
        found = path.read_text(encoding="utf-8") if path.exists() else ""
        if found == text:
            continue
        differing += 1
        if arguments:
            sys.stderr.write(f"{name} is not what the contract says; run scripts/docs/generate\n")
            lines = difflib.unified_diff(
                found.splitlines(), text.splitlines(), name, "the contract", lineterm=""
            )
            sys.stderr.writelines(f"{line}\n" for line in list(lines)[:40])
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{name} made\n")
    return 1 if arguments and differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
