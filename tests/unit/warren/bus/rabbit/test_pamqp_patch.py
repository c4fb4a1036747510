"""The patch of pamqp: it replaces what it means to, and a stranger's message is read."""

from __future__ import annotations

import inspect

import pamqp.decode
import pamqp.frame
import pytest
from pamqp import commands as spec
from pamqp.header import ContentHeader

from warren.bus.rabbit import pamqp_patch


def test_pamqp_looks_its_decoders_up_where_they_are_patched() -> None:
    """Both tables still have these entries, and pamqp reads by them: without the patch they were pamqp's
    own.
    """
    methods, values = pamqp.decode.METHODS, pamqp.decode.TABLE_MAPPING
    assert {
        "shortstr": methods["shortstr"],
        "timestamp": methods["timestamp"],
        "table": methods["table"],
    } == {
        "shortstr": pamqp_patch.text,
        "timestamp": pamqp_patch.time,
        "table": pamqp_patch.table,
    }
    assert (values[b"T"], values[b"F"]) == (pamqp_patch.time, pamqp_patch.table)
    assert "METHODS.get(data_type)" in inspect.getsource(pamqp.decode.by_type)
    assert "TABLE_MAPPING[" in inspect.getsource(pamqp.decode.embedded_value)


@pytest.mark.parametrize(
    ("strict", "value", "error"),
    [
        (pamqp_patch.STRICT_TEXT, b"\x02\xc3(", UnicodeDecodeError),
        (pamqp_patch.STRICT_TIME, b"\xff" * 8, (ValueError, OverflowError, OSError)),
        (pamqp_patch.STRICT_TABLE, b"\x00\x00\x00\x03\x01az", Exception),
    ],
)
def test_pamqp_itself_raises_for_it(strict, value: bytes, error) -> None:
    """Where it no longer does, the patch has nothing left to mend, and can go."""
    with pytest.raises(error):
        strict(value)


@pytest.mark.parametrize(
    ("decode", "value", "decoded"),
    [
        (pamqp_patch.text, b"\x02okx", (3, "ok")),
        (pamqp_patch.text, b"\x02\xc3(x", (3, "?(")),
        (pamqp_patch.time, b"\xff" * 8, (8, None)),
        (pamqp_patch.table, b"\x00\x00\x00\x03\x01azz", (7, {})),
        (pamqp_patch.table, b"\x00\x00\x00\x00", (4, {})),
    ],
)
def test_what_cannot_be_read_is_passed_over(decode, value: bytes, decoded: tuple[int, object]) -> None:
    """As many bytes are taken as the value has, so that what follows is read."""
    assert decode(value) == decoded


def test_a_whole_frame_of_a_stranger_is_read() -> None:
    """Pamqp decodes a content header with such a text, and goes on behind it."""
    header = ContentHeader(
        body_size=5, properties=spec.Basic.Properties(content_type="??", message_id="id-1")
    )
    frame = pamqp.frame.marshal(header, 1).replace(b"\x02??", b"\x02\xff\xfe")
    _, _, read = pamqp.frame.unmarshal(frame)
    assert (read.properties.content_type, read.properties.message_id) == ("??", "id-1")
