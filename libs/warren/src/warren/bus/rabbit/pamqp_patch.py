"""A patch of pamqp, made when this module is imported: it decodes what any AMQP client may send.

pamqp raises for text that is no UTF-8, for times beyond its calendar and for tables that it can't read. Any
of that in a message would end the connection, and again when the message is delivered again. Here what
can't be read is ``?`` in texts (no address has one), no time, and an empty table. It relies on two tables
of functions that pamqp keeps for itself, ``pamqp.decode.METHODS`` and ``TABLE_MAPPING``; nothing else of
pamqp is touched.
"""

from __future__ import annotations

from typing import Any, Final

import pamqp.decode

# pamqp's own decoders of a short string, a time and a table: bytes to how many they were, and the value.
STRICT_TEXT: Final = pamqp.decode.short_str
STRICT_TIME: Final = pamqp.decode.timestamp
STRICT_TABLE: Final = pamqp.decode.field_table


def text(value: bytes) -> tuple[int, Any]:
    """Decode a short string (AMQP 0-9-1, 4.2.5.3)."""
    try:
        return STRICT_TEXT(value)
    except UnicodeDecodeError:
        end = value[0] + 1
        return end, value[1:end].decode("utf-8", "replace").replace("\ufffd", "?")


def time(value: bytes) -> tuple[int, Any]:
    """Decode a time (4.2.5.4): None where it is beyond the calendar."""
    try:
        return STRICT_TIME(value)
    except (ValueError, OverflowError, OSError):
        return 8, None


def table(value: bytes) -> tuple[int, Any]:
    """Decode a table (4.2.5.5): empty where it can't be read."""
    try:
        return STRICT_TABLE(value)
    except Exception:  # noqa: BLE001 - whatever is in it: unknown kinds, no UTF-8, too deep
        return 4 + int.from_bytes(value[:4], "big"), {}


pamqp.decode.METHODS.update(shortstr=text, timestamp=time, table=table)
pamqp.decode.TABLE_MAPPING.update({b"T": time, b"F": table})
