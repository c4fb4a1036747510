"""Process memory: how much of it this process holds, as the operating system says.

It reads and changes nothing else.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_STATM = Path("/proc/self/statm")  # Linux, proc(5): sizes in pages, the second one is what is resident


def rss_bytes() -> int:
    """Return the resident set's size; where the system does not tell it, the largest that it has been."""
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return peak_rss_bytes()
    return pages * resource.getpagesize()


def peak_rss_bytes() -> int:
    """Return the largest size of the resident set so far (getrusage(2): KiB, and bytes on macOS)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
