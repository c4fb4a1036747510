"""Envelopes: every kind comes back as it went, its bytes are pinned, and no bytes raise anything but our own
errors.
"""

import contextlib
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren.envelope import (
    OVERHEAD_BYTES,
    AccessAnswer,
    AccessQuery,
    Ack,
    Batch,
    Bodies,
    Checkpoint,
    Command,
    Commanded,
    CommandResult,
    Counts,
    CountsQuery,
    Deliver,
    Dismissed,
    Enrolled,
    Entered,
    Envelope,
    Feed,
    GatewayWaits,
    Gone,
    Heartbeat,
    Hello,
    HistoryPage,
    HistoryQuery,
    Inform,
    Item,
    Join,
    Joined,
    Leave,
    Leaving,
    Left,
    LifeEnded,
    Mark,
    Named,
    Notified,
    Number,
    Page,
    Post,
    PostAnswer,
    PresenceDiff,
    PresenceMember,
    PresencePage,
    PresenceQuery,
    Progress,
    ProgressQuery,
    Publish,
    Read,
    ReadAnswer,
    ReadQuery,
    Receipt,
    Refused,
    Reset,
    RouterHeartbeat,
    RouterLeaving,
    Rules,
    Seen,
    SeenState,
    ShardReading,
    Speaker,
    SpeakerProgress,
    TokensRevoked,
    Watch,
    decode,
    decode_each,
    decode_leniently,
    encode,
    size_of,
)
from warren.errors import MalformedEnvelope, UnsupportedEnvelope
from warren.position import LogPosition, Position

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
INT = st.integers(-(2**63), 2**63 - 1)
POSITION = st.builds(Position, TEXT, INT)
PLACE = st.builds(LogPosition, TEXT, INT, INT)
SPOKEN = st.builds(SpeakerProgress, INT, TEXT, INT, INT)
FIELDS: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: INT,
    bool: st.booleans(),
    bytes: st.binary(max_size=50),
    Position: POSITION,
    Position | None: st.none() | POSITION,
    tuple[str, ...]: st.lists(TEXT, max_size=4).map(tuple),
    LogPosition: PLACE,
    LogPosition | None: st.none() | PLACE,
    tuple[PresenceMember, ...]: st.lists(
        st.builds(PresenceMember, TEXT, TEXT, st.binary(max_size=50), st.integers(0, 2**64 - 1)), max_size=3
    ).map(tuple),
    SeenState | None: st.none()
    | st.builds(SeenState, TEXT, INT, st.lists(st.tuples(TEXT, INT), max_size=3).map(tuple)),
    tuple[SpeakerProgress, ...]: st.lists(SPOKEN, max_size=3).map(tuple),
    tuple[ShardReading, ...]: st.lists(
        st.builds(ShardReading, INT, INT, INT, INT, INT, st.booleans()), max_size=3
    ).map(tuple),
    tuple[GatewayWaits, ...]: st.lists(st.builds(GatewayWaits, TEXT, INT), max_size=3).map(tuple),
}
KINDS: tuple[type[Any], ...] = get_args(Envelope)


def of(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Any envelope of a kind, with any values in all its fields."""
    types = get_type_hints(kind)
    return st.builds(
        kind, **{field.name: FIELDS[types[field.name]] for field in msgspec.structs.fields(kind)}
    )


FIELDS[tuple[Deliver, ...]] = st.lists(of(Deliver), max_size=3).map(tuple)
FIELDS[tuple[tuple[int, int, Deliver], ...]] = st.lists(st.tuples(INT, INT, of(Deliver)), max_size=3).map(
    tuple
)
FIELDS[tuple[tuple[int, int, Item], ...]] = st.lists(
    st.tuples(INT, INT, st.one_of(*(of(kind) for kind in get_args(Item)))), max_size=3
).map(tuple)
ENVELOPES = st.one_of(*(of(kind) for kind in KINDS))


@given(st.lists(ENVELOPES, max_size=8))
def test_a_batch_comes_back_as_it_went(envelopes: list[Envelope]) -> None:
    """Encoding and decoding gives equal envelopes of equal kinds in their order, both ways of decoding."""
    body = encode(envelopes)
    assert decode(body) == envelopes
    assert [type(envelope) for envelope in decode(body)] == [type(envelope) for envelope in envelopes]
    assert decode_each(body) == envelopes


PINNED: list[tuple[Envelope, str]] = [
    (
        Publish("r", "CHAT", b"{}", 5, "g~1", "u", "i"),
        "920191dc0011a150a172a443484154c4027b7d05a3677e31a175a169c2c2c2a000a000a000",
    ),
    (Join("r", "g~1", "u", "", Position("e", 3)), "9201919da14aa172a3677e31a175a092a16503c40000a00000c200"),
    (Leave(("r",), "g~1"), "92019196a14c91a172a3677e31a0a0a0"),
    (HistoryQuery("r", "g~1", "i"), "92019196a151a172a3677e31a1690064"),
    (Heartbeat("g", 1, 2), "9201919ca148a167010200000000a00000ff"),
    (Leaving("g"), "92019192a142a167"),
    (
        RouterHeartbeat(
            "R",
            1,
            "",
            1,
            (SpeakerProgress(0, "l", 7, 5),),
            7,
            5,
            3,
            True,
            (ShardReading(0, 9, 2, 4, 1, True),),
            (GatewayWaits("g", 6),),
        ),
        "9201919ca168a15201a001919400a16c0705070503c391960009020401c39192a16706",
    ),
    (RouterLeaving("R"), "92019192a162a152"),
    (Deliver("r", "e", 1, "T", b"1", 5), "9201919fa144a172a16501a154c4013105a0a0a0c2c2a000a0"),
    (Joined("g~1", "r", Position("e", 0), False), "92019197a16aa3677e31a17292a16500c200a0"),
    (Left("g~1", "r"), "92019195a16ca3677e31a172a0a0"),
    (Ack("g~1", "r", "i", "e", 3), "92019196a161a3677e31a172a169a16503"),
    (Refused("g~1", "i", "c", "m"), "92019195a172a3677e31a169a163a16d"),
    (
        HistoryPage("g~1", "r", "i", (Deliver("r", "e", 1, "T", b"1", 5),), False),
        "92019196a171a3677e31a172a169919fa144a172a16501a154c4013105a0a0a0c2c2a000a0c2",
    ),
    (Batch("g", 1, 2, 5), "92019195a131a167010205"),
    (Hello(), "92019191a132"),
    (Notified("R", 5), "92019193a133a15205"),
    (Gone("g", 1, 5), "92019194a134a1670105"),
    (Rules("l", 1, 9, 8, 7, 5), "92019198a135a16c0109080705c2"),
    (Mark("R", 5), "92019193a136a15205"),
    (Checkpoint("R", 3, 0, 1, b"d", b"b"), "92019197a137a152030001c40164c40162"),
    (Number("g", 1, 1, LogPosition("l", 3, 2)), "92019195a138a167010193a16c0302"),
    (Read("g", 1, "r", "e", 3, 9, 1), "92019198a139a16701a172a165030901"),
    (Speaker("R", 1), "92019193a23130a15201"),
    (LifeEnded(1, 2, 3), "92019194a23131010203"),
    (Reset("R", 1, 2, LogPosition("l", 3, 2), 4), "92019196a23132a152010293a16c030204"),
    (
        Entered("g~1", "r", Position("e", 3), "i", Position("e", 1)),
        "92019198a23133a3677e31a17292a16503a16992a165010000",
    ),
    (Named(), "92019191a23134"),
    (
        Page("r", "e", 3, (Deliver("r", "e", 4, "T", b"1", 5),), True, True, 1),
        "92019198a23135a172a16503919fa144a172a16504a154c4013105a0a0a0c2c2a000a0c3c301",
    ),
    (
        Feed(
            "R",
            1,
            2,
            3,
            None,
            LogPosition("l", 3, 2),
            ((3, 1, Ack("g~1", "r", "i", "e", 3)), (3, 2, Named())),
        ),
        "92019198a23136a152010203c093a16c03029293030196a161a3677e31a172a169a1650393030291a23134",
    ),
    (
        Bodies(1, "l", ((3, 2, Deliver("r", "e", 4, "T", b"1", 5)),)),
        "92019194a2313701a16c919303029fa144a172a16504a154c4013105a0a0a0c2c2a000a0",
    ),
    (
        Watch("r", "g~1", "u", True),
        "92019195a157a172a3677e31a175c3",
    ),
    (
        Inform("r", "g~1", b"{}"),
        "92019194a149a172a3677e31c4027b7d",
    ),
    (
        Commanded("R", 5),
        "92019193a23138a15205",
    ),
    (
        Command("i", "block", "@u", "u", ("g~1",), 4006, "why", 7, ("r",), "t", 3, "g~2"),
        "9201919da143a169a5626c6f636ba24075a17591a3677e31cd0fa6a37768790791a172a17403a3677e32",
    ),
    (
        Dismissed("g~1", 4006, "why"),
        "92019194a23139a3677e31cd0fa6a3776879",
    ),
    (
        Enrolled("g~1", ("r",)),
        "92019193a23230a3677e3191a172",
    ),
    (
        TokensRevoked("u", "t", 3),
        "92019194a23231a175a17403",
    ),
    (
        PresenceDiff("r", 9, 2, 3, 7, (PresenceMember("u", "u", b"{}", 7),), ("v",), (), False),
        "9201919ba23232a172090203079194a175a175c4027b7d0791a17690c2c0",
    ),
    (
        PresenceQuery("r", "g~1", "i", 10, "u", False),
        "92019197a23233a172a3677e31a1690aa175c2",
    ),
    (
        PresencePage("g~1", "r", "i", 9, 2, 3, 7, (PresenceMember("u", "u", b"{}", 2**64 - 1),), True, False),
        "9201919ca23234a3677e31a172a169090203079194a175a175c4027b7dcfffffffffffffffffc3c2c0",
    ),
    (
        CommandResult("i", "@u", b"{}"),
        "92019194a23235a169a24075c4027b7d",
    ),
    (
        ReadQuery("R", 1, 2, b"{}"),
        "92019195a23236a1520102c4027b7d",
    ),
    (
        ReadAnswer(1, b"{}"),
        "92019193a2323701c4027b7d",
    ),
    (
        ProgressQuery("R", 1),
        "92019193a23238a15201",
    ),
    (
        Progress("g", 1, 2, LogPosition("l", 3, 2)),
        "92019195a23239a167010293a16c0302",
    ),
    (
        Receipt("i", "r", "e", 3, False, 2, 4, 1),
        "920191dc0010a23330a169a172a16503c20204010000c3a000ff00",
    ),
    (
        Seen("r", "g~1", "e", 3),
        "92019195a153a172a3677e31a16503",
    ),
    (
        CountsQuery("R", 1, "r", "e", 3),
        "92019196a23331a15201a172a16503",
    ),
    (
        Counts("g", 1, "r", "e", 3, 4, True, 5, 1, 0),
        "9201919ca23332a16701a172a1650304c3050100c3",
    ),
    (
        Post("g", 1, "h~1", b"d", b"[]"),
        "92019196a23430a16701a3687e31c40164c4025b5d",
    ),
    (
        PostAnswer(1, 410, "m"),
        "92019194a2343101cd019aa16d",
    ),
    (
        AccessQuery("g~1", "u", "t", 5),
        "92019195a23432a3677e31a175a17405",
    ),
    (
        AccessAnswer("g~1", 4001, "m"),
        "92019194a23433a3677e31cd0fa1a16d",
    ),
]


@pytest.mark.parametrize(
    ("envelope", "pinned"), PINNED, ids=[type(envelope).__name__ for envelope, _ in PINNED]
)
def test_the_bytes_are_pinned(envelope: Envelope, pinned: str) -> None:
    """Each kind's bytes are what services of this wire version have always written."""
    assert encode([envelope]).hex() == pinned
    assert decode(bytes.fromhex(pinned)) == [envelope]


def test_every_kind_is_pinned() -> None:
    """No kind is without its pinned bytes, and no two kinds begin alike."""
    assert [type(envelope) for envelope, _ in PINNED] == list(KINDS)
    tags = [kind.__struct_config__.tag for kind in KINDS]
    assert len(set(tags)) == len(tags)


@given(st.binary(max_size=200))
def test_any_bytes_raise_our_own_error_or_nothing(body: bytes) -> None:
    """Whatever comes from the bus, decoding gives envelopes or raises MalformedEnvelope."""
    for read in (decode, decode_each):
        with contextlib.suppress(MalformedEnvelope):
            read(body)


@given(st.lists(ENVELOPES, min_size=1, max_size=3), st.data())
def test_damaged_batches_raise_our_own_error_or_nothing(
    envelopes: list[Envelope], data: st.DataObject
) -> None:
    """A batch in which bytes were changed, cut off or added is decoded or raises MalformedEnvelope."""
    body = bytearray(encode(envelopes))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    body = body[: data.draw(st.integers(0, len(body)))] + data.draw(st.binary(max_size=3))
    for read in (decode, decode_each):
        with contextlib.suppress(MalformedEnvelope):
            read(bytes(body))


@pytest.mark.parametrize(
    "deep", [b"\x91" * 100_000, b"\x92\x01" + b"\x91" * 100_000, b"\x92\x01\x91" + b"\x81\xa1a" * 50_000]
)
def test_depth_is_no_weapon(deep: bytes) -> None:
    """Bytes that nest without end are malformed like any others."""
    for read in (decode, decode_each):
        with pytest.raises(MalformedEnvelope):
            read(deep)


@pytest.mark.parametrize("version", [0, 2, 127, 128, 255, 70_000, -1])
def test_another_version_is_unsupported(version: int) -> None:
    """A batch of another wire version is told apart from damage, also where its inside is known to look
    alike.
    """
    body = msgspec.msgpack.encode((version, [Leaving("g")]))
    for read in (decode, decode_each):
        with pytest.raises(UnsupportedEnvelope, match=str(version)):
            read(body)


def test_a_newer_version_may_look_quite_different() -> None:
    """A batch of version 2 whose inside nobody knows yet is unsupported, not malformed."""
    body = msgspec.msgpack.encode([2, {"frames": []}, "more"])
    for read in (decode, decode_each):
        with pytest.raises(UnsupportedEnvelope):
            read(body)


def test_one_bad_envelope_does_not_take_the_others_with_it() -> None:
    """``decode_each`` gives an error in the place of what is no envelope, and the rest as they are."""
    good = [Leaving("g"), Speaker("r", 1)]
    parts = [msgspec.msgpack.decode(msgspec.msgpack.encode(each)) for each in good]
    body = msgspec.msgpack.encode((1, [parts[0], ["Z", 1], 7, ["B", 5], parts[1]]))
    with pytest.raises(MalformedEnvelope):
        decode(body)
    first, *bad, last = decode_each(body)
    assert [first, last] == good
    assert [type(each) for each in bad] == [MalformedEnvelope] * 3


def test_fields_of_a_newer_service_are_ignored_and_those_of_an_older_one_filled_in() -> None:
    """An upgrade runs both side by side: appended fields are skipped, missing ones have their defaults."""
    newer = msgspec.msgpack.encode((1, [["B", "g", "new", {"a": 1}]]))
    older = msgspec.msgpack.encode((1, [["H", "g", 5]]))
    assert decode(newer) == decode_each(newer) == [Leaving("g")]
    assert decode(older) == decode_each(older) == [Heartbeat("g", 5)]


@given(ENVELOPES)
def test_the_size_covers_the_payload(envelope: Envelope) -> None:
    """The estimate for a batch's bounds is never less than the fixed part, and holds the payload whole."""
    payload = envelope.payload if isinstance(envelope, Publish | Deliver) else b""
    assert size_of(envelope) >= OVERHEAD_BYTES + len(payload)


def test_the_size_grows_with_what_is_listed() -> None:
    """Rooms of a Leave, the body of a part of a checkpoint and the messages of a page count."""
    assert size_of(Leave(("a", "b"), "c")) > size_of(Leave(("a",), "c"))
    assert size_of(Checkpoint("R", 1, 0, 1, b"", b"ab")) > size_of(Checkpoint("R", 1, 0, 1, b"", b"a"))
    message = Deliver("r", "e", 1, "T", b"1", 5)
    assert size_of(Page("r", "e", 0, (message,), True, True, 1)) == size_of(message) + OVERHEAD_BYTES
    assert (
        size_of(HistoryPage("c", "r", "", (message, message), False)) == 2 * size_of(message) + OVERHEAD_BYTES
    )


def test_leniently_a_good_batch_is_decoded_whole():
    """All envelopes in order, and no reason."""
    assert decode_leniently(encode([Leaving("g1"), Leave(("a",), "g1~1")])) == (
        [Leaving("g1"), Leave(("a",), "g1~1")],
        "",
    )


def test_leniently_a_spoilt_part_costs_only_itself():
    """The others come in order, and the reason counts what is lost."""
    first, last = encode([Leaving("g1")])[3:], encode([Leaving("g2")])[3:]
    envelopes, reason = decode_leniently(b"\x92\x01\x93" + first + b"\xa1x" + last)
    assert envelopes == [Leaving("g1"), Leaving("g2")]
    assert reason == "malformed: 1 of 3 parts are no envelopes"


def test_leniently_what_is_no_batch_and_what_is_of_another_version_have_their_reasons():
    """The part before the colon is one word that can be counted."""
    assert [decode_leniently(body)[1].partition(":")[0] for body in (b"", b"\xc1", b"\x92\x02\x90")] == [
        "malformed",
        "malformed",
        "unsupported",
    ]


@given(st.binary(max_size=60))
def test_leniently_no_bytes_raise(body):
    """Either all of it is good, or there is a reason."""
    envelopes, reason = decode_leniently(body)
    assert isinstance(envelopes, list)
    assert reason or body[:2] == b"\x92\x01"
