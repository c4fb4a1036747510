"""fields: what the two spellings have in common."""

import msgspec
import pytest

from gateway.core import client_messages, codec_common
from gateway.core.codec_common import Fields, body_of, checked, delivery_head, head_of, ref_of, refuse
from warren.envelope import Deliver
from warren.errors import ErrorCode, ProtocolError


def test_a_traceparent_is_cut_to_its_fixed_part():
    """What a later version of the standard appends is nothing to us, and no client can make us carry a long
    one.
    """
    first = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert checked(Fields("CHAT", traceparent=first + "-more" * 1_000), b"1", False).traceparent == first


@pytest.mark.parametrize(
    ("name", "ref"),
    [
        ("x" * 65, "x" * 65),
        ("x" * codec_common.REF_MAX, "x" * codec_common.REF_MAX),
        ("x" * (codec_common.REF_MAX + 1), None),
        ("a\nb", "a\nb"),
        ("~1", "~1"),
        ("", None),
        ("\ud800", None),
    ],
)
def test_an_id_out_of_the_rule_is_refused_and_told_where_it_can_be(name, ref):
    """The sender has to know which of its messages it was; what is very long, or no UTF-8, is not
    repeated.
    """
    with pytest.raises(ProtocolError) as caught:
        ref_of(Fields("CHAT", id=name))
    assert (caught.value.code, caught.value.ref) == (ErrorCode.INVALID_MESSAGE, ref)


@pytest.mark.parametrize("document", [None, [], 5, "x"])
def test_what_is_no_object_is_no_message(document):
    """It gets invalid_format."""
    with pytest.raises(ProtocolError) as caught:
        refuse(document)
    assert caught.value.code is ErrorCode.INVALID_FORMAT


def test_a_refused_object_with_nothing_wrong_in_it_is_still_refused():
    """The strict parser has the last word."""
    with pytest.raises(ProtocolError) as caught:
        refuse({"type": "CHAT", "id": "7"})
    assert (caught.value.code, caught.value.ref) == (ErrorCode.INVALID_FORMAT, "7")


@pytest.mark.parametrize(
    "name", [name for name in Fields.__struct_fields__ if name not in ("payload", "type")]
)
def test_each_field_of_a_wrong_kind_is_named(name):
    """No field that the parser checks lacks its explanation."""
    with pytest.raises(ProtocolError) as caught:
        refuse({"type": "CHAT", name: 5.5})
    assert caught.value.message.startswith(f"{name}: must be ")


def test_a_message_that_is_not_numbered_has_no_epoch():
    """A client must not take it for a position."""
    head = delivery_head(Deliver("r", "e", 0, "TYPING", b"1", 1_999))
    assert (head.seq, head.epoch, head.timestamp) == (0, "", 1)


def test_a_head_with_a_payload_fits_a_small_map():
    """The MessagePack codec counts on fewer than 15 entries."""
    assert len(codec_common.Head.__struct_fields__) < 15


@pytest.mark.parametrize("kind", client_messages.ServerMessage.__args__)
def test_each_server_message_has_a_type_and_can_be_encoded(kind):
    """No struct is forgotten in the maps."""
    made = msgspec.convert(
        {
            field.name: {
                "int": 1,
                "str": "x",
                "bytes": b"1",
                "bool": True,
                "ErrorCode": ErrorCode.INTERNAL,
            }.get(str(field.type).partition(" ")[0], ())
            for field in msgspec.structs.fields(kind)
            if field.required
        },
        dict,
    )
    hints = {field.name: field.type for field in msgspec.structs.fields(kind)}
    values = {str: "x", int: 1, bytes: b"1", bool: True, ErrorCode: ErrorCode.INTERNAL}
    message = kind(**{name: values.get(hints[name], ()) for name in made})
    head = head_of(message, 5)
    assert head.type == head.type.upper()
    assert head.timestamp == 5
    msgspec.json.encode((head, body_of(message, lambda _: b"{}")))
