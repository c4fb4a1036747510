"""Log entries: what stands in a log keeps its shape, and a newer writer's additional fields are
passed over.
"""

from typing import get_args

import msgspec

from warren import log_entries
from warren.envelope import Envelope, Mark, decode, encode


def test_every_kind_can_cross_the_bus() -> None:
    """What can be written can be read: each kind is one of the envelopes."""
    kinds = {
        kind
        for kind in vars(log_entries).values()
        if isinstance(kind, type) and kind.__module__ == log_entries.__name__
    }
    assert kinds - {log_entries.Kind} < set(get_args(Envelope))


def test_fields_of_a_newer_version_are_passed_over() -> None:
    """A field at the end is no reason to refuse an entry."""
    version, (mark,) = msgspec.msgpack.decode(encode([Mark("R", 5)]))
    assert decode(msgspec.msgpack.encode((version, [[*mark, "more"]]))) == [Mark("R", 5)]
