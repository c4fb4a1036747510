"""Files: whether one that a setting names can be loaded, said in one line that names the setting and never
what is in the file.

It decides nothing and keeps nothing open.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable


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
