"""Files: the text of one that settings name, and whether one can be loaded, said in one line that names the
setting and never what is in the file.

It decides nothing and keeps nothing open.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path


def load_problem(names: str, wrong: str, load: Callable[[], None]) -> list[str]:
    """Call ``load`` and return what is to be said where that fails: ``wrong`` for what is in the file, else
    why it can't be read.
    """
    try:
        load()
    except ssl.SSLError:
        return [f"{names}: {wrong}"]
    except (OSError, ValueError) as error:
        return [
            (
                f"{names}: can't be read: "
                f"{(error.strerror if isinstance(error, OSError) else None) or 'no such file'}"
            )
        ]
    return []


def text_of(path: str, most_bytes: int) -> str:
    """Return what is in a file, as UTF-8. Raises OSError, or ValueError where it is no text or larger."""
    with Path(path).open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"has more than {most_bytes} bytes")
    return content.decode()
