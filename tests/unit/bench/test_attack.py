"""bench.attack: its frames and payloads are what they say, and what was measured becomes figures and
verdicts.
"""

from __future__ import annotations

import math
import zlib

import msgspec
import pytest
from bench.attack import backend, catalogue, figures, payloads
from bench.attack.frames import (
    BINARY,
    CONTINUATION,
    PING,
    TEXT,
    Heard,
    Listener,
    close,
    deflated,
    frame,
    in_parts,
    in_streams,
    masked,
)
from bench.attack.message_patterns import LARGE
from bench.attack.plans import Attack, Flood, Scene, Swarm

from gateway.core.websocket.frame_parser import Control, FrameParser

SIZE = 4_096


def read(data: bytes, *, deflate: bool = False) -> list[object]:
    """Return what a gateway reads of a client's bytes."""
    parser, found = FrameParser(1 << 20, deflate=deflate), []
    parser.feed(data)
    while (item := parser.next()) is not None:
        # one part of several
        if not (isinstance(item, Control) and item.opcode == CONTINUATION and item.payload):
            found.append(item)
    return found


# ── frames ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_frame_holds_its_payload_in_every_spelling_of_its_length(size: int) -> None:
    """The mask is not zero, and comes off."""
    payload = b"x" * size
    assert read(frame(payload, BINARY)) == [payload]
    assert size == 0 or payload not in frame(payload, BINARY)
    assert masked(masked(payload)) == payload


def test_a_compressed_message_is_small_and_means_the_same() -> None:
    """Also behind streams that hold nothing."""
    text = "[]," * 10_000
    assert read(deflated(text.encode()), deflate=True) == [text]
    assert len(deflated(text.encode())) < 200
    assert read(in_streams(text.encode(), 15), deflate=True) == [text]


@pytest.mark.parametrize("size", [1, 3])
def test_parts_make_one_message(size: int) -> None:
    """With pings between them where that is asked for."""
    assert read(in_parts(b"abcdefg", size)) == ["abcdefg"]
    pieces = math.ceil(7 / size)
    found = read(in_parts(b"abcdefg", size, between=frame(b"", PING)))
    assert found == [Control(PING, b"")] * pieces + ["abcdefg"] + [Control(PING, b"")]


def test_parts_of_nothing_are_many_and_a_message_without_an_end_never_comes() -> None:
    """What an honest client never sends."""
    assert read(in_parts(b"aaa", 0)) == [Control(CONTINUATION, b"")] * 3 + [""]
    assert read(in_parts(b"aaa", 1, end=False)) == []


def test_a_listener_counts_messages_and_finds_the_close_code_however_the_bytes_come() -> None:
    """A server's frames have no mask."""
    said = b"\x81\x02hi" + b"\x82\x7e\x01\x00" + b"y" * 256 + b"\x8a\x00" + b"\x88\x05\x0f\xa2bye"
    for step in (1, 2, 7, len(said)):
        listener = Listener()
        for at in range(0, len(said), step):
            listener.feed(said[at : at + step])
        assert listener.heard == Heard(2, 4002), step


def test_a_close_frame_has_a_code_or_none() -> None:
    """The codes that may not be sent too."""
    assert read(close(1006))[0] == Control(8, (1006).to_bytes(2, "big"))
    assert read(close(None))[0] == Control(8, b"")


# ── payloads ────────────────────────────────────────────────────────────────────────────────────────────────

ILLEGAL = {"unterminated", "unterminated-brackets", "late-fault", "surrogates"}
SHALLOW = 200  # a tower of so many bytes can be read by any parser


@pytest.mark.parametrize("name", payloads.JSON)
def test_a_payload_in_json_is_as_long_as_asked_and_legal_unless_it_says_so(name: str) -> None:
    """Else a refusal would be measured and not the judging."""
    payload = payloads.JSON[name](SHALLOW if name == "tower" else SIZE)
    assert name == "tower" or 0.7 * SIZE < len(payload) < 1.3 * SIZE
    if name in ILLEGAL:
        with pytest.raises((msgspec.MsgspecError, UnicodeError)):
            msgspec.json.decode(payload)
    else:
        msgspec.json.decode(payload, type=msgspec.Raw)


@pytest.mark.parametrize("name", payloads.PACKED)
def test_a_payload_in_messagepack_is_whole(name: str) -> None:
    """One value and nothing behind it."""
    size = SHALLOW if name == "tower" else 1_000
    payload = payloads.PACKED[name](size)
    assert 0.7 * size < len(payload) <= 1.1 * size
    assert bytes(msgspec.msgpack.decode(payload, type=msgspec.Raw)) == payload


def test_the_flat_one_looks_as_if_it_held_infinity() -> None:
    """And is about 1,086 bytes when it is compressed."""
    whole = payloads.packed_chat(payloads.packed_flat(LARGE))
    assert b"\xcb\x7f\xf0" in whole
    assert len(deflated(whole, BINARY)) < 1_200
    assert len(whole) <= payloads.MIB


# ── the catalogue ───────────────────────────────────────────────────────────────────────────────────────────


def test_every_attack_has_a_name_of_its_own_and_plans() -> None:
    """None has to be asked for twice, and each can be made."""
    names = [attack.name for attack in catalogue.ATTACKS]
    assert len(set(names)) == len(names)
    for attack in catalogue.ATTACKS:
        plans = attack.plans(Scene())
        assert plans
        assert attack.fresh_router == any(isinstance(plan, Flood) for plan in plans)
        for plan in plans:
            if isinstance(plan, Swarm):
                assert (
                    plan.raw
                    or plan.once
                    or plan.again
                    or plan.each
                    or plan.connections >= 50
                    or plan.token == "bad"
                )


def test_attacks_are_chosen_by_name_by_kind_and_by_the_beginning_of_a_name() -> None:
    """What nobody is called is an error."""
    assert [attack.name for attack in catalogue.chosen("pings,plain")] == ["pings", "plain"]
    assert {attack.kind for attack in catalogue.chosen("router")} == {"router"}
    assert len(catalogue.chosen("notify-*,router")) == len(catalogue.chosen("router"))
    assert catalogue.chosen("") == catalogue.ATTACKS
    with pytest.raises(ValueError, match="nothing-like-it"):
        catalogue.chosen("nothing-like-it")


def test_a_flood_has_the_properties_that_its_plan_asks_for() -> None:
    """Tables in tables, many headers, a time beyond the calendar, a text that is none."""
    made = backend.properties_of(Flood((b"1",), depth=3, width=2, timestamp=5, broken=True))
    assert made.headers == {"h0": 0, "h1": 1, "deep": {"a": {"a": {"a": {}}}}}
    assert (made.timestamp, made.message_id) == (5, b"\xff\xfe")
    assert backend.properties_of(Flood((b"1",))).headers is None


@pytest.mark.parametrize(
    "attack", [row for row in catalogue.ATTACKS if row.kind == "judging"], ids=lambda row: row.name
)
def test_what_is_judged_fits_the_limit_of_a_message(attack: Attack) -> None:
    """Else it is refused by its size, and nothing is judged."""
    for plan in attack.plans(Scene()):
        assert isinstance(plan, Swarm)
        for sent in (plan.once, plan.again):
            for item in read(sent, deflate=plan.deflate):
                assert isinstance(item, str | bytes)


# ── figures ─────────────────────────────────────────────────────────────────────────────────────────────────


def sample(at: float, took: float, kind: str = "ping", *, answered: bool = True) -> figures.Sample:
    return figures.Sample(kind, at, took, answered)


def result(calm: float = 1.0, under: float = 2.0, **more: object) -> figures.Result:
    """Return a result whose pings and acks took so many ms."""
    made = figures.Result("a", "k", "s")
    for kind in ("ping", "ack"):
        made.calm[kind] = figures.Latency(9, calm, calm, calm, 0)
        made.attacked[kind] = figures.Latency(9, under, under, under, 0)
        made.after[kind] = figures.Latency(9, 1, 1, 1, 0)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_latency_is_that_of_what_was_due_in_the_phase() -> None:
    """What was never answered counts with how long it waited."""
    samples = [sample(at / 100, 0.001) for at in range(100)] + [
        sample(0.5, 2.0, answered=False),
        sample(1.0, 9.0),
    ]
    found = figures.latency(samples, "ping", 0.0, 1.0)
    assert found == figures.Latency(101, 1.0, 1.0, 2_000.0, 1)
    assert figures.latency(samples, "ack", 0.0, 1.0).of == 0


def test_a_percentile_is_one_of_the_values() -> None:
    """Of few values the 99th is the largest."""
    assert figures.percentile([3, 1, 2], 0.5) == 2
    assert figures.percentile(range(1, 101), 0.99) == 99
    assert figures.percentile([5, 7], 0.99) == 7
    assert math.isnan(figures.percentile([], 0.5))


@pytest.mark.parametrize(
    ("made", "word", "reason"),
    [
        (result(), "held", ""),
        (result(under=51), "MISSED", "ping p99 51 ms"),
        (result(calm=90, under=400), "noisy", "ping p99 400 ms"),
        (result(calm=51, under=400), "MISSED", "ping p99 400 ms"),
        (result(under=51, others=0.5), "noisy", "ping p99 51 ms"),
        (result(under=251, others=0.5), "MISSED", "ping p99 251 ms"),
        (result(closes={"4002": 2}), "MISSED", "victims closed: 2 x 4002"),
        (result(died=["the gateway died (-9)"]), "MISSED", "the gateway died (-9)"),
        (result(rss=(0, 283 << 20, 0)), "MISSED", "gateway +283 MiB"),
        (result(router_rss=(10, 283 << 20, 0)), "MISSED", "router +283 MiB"),
        (result(calm=90, under=400, closes={"1006": 1}), "MISSED", "victims closed: 1 x 1006"),
        (result(after={"ack": figures.Latency(3, 1, 1, 1, 3)}), "MISSED", "no ack answered afterwards"),
        (result(attacked={"ping": figures.Latency(0, math.nan, math.nan, math.nan, 0)}), "MISSED", "no ping"),
    ],
)  # fmt: skip
def test_the_verdict_names_what_was_missed(made: figures.Result, word: str, reason: str) -> None:
    """A busy machine is told from an attack, unless the attack did more than slow things down."""
    found, reasons = figures.verdict(made, figures.Aims())
    assert found == word
    assert reason in "; ".join(reasons)
    assert bool(reasons) == (word != "held")


def test_a_row_has_a_cell_for_each_heading_and_json_has_the_verdict() -> None:
    """Also where nothing could be measured."""
    aims = figures.Aims()
    for made in (
        result(sent=2_000_000, seconds=2.0, gateway_cpu=1.5, gateway_calm_cpu=0.5),
        figures.Result("b", "k", "s"),
    ):
        assert len(figures.row(made, aims)) == len(figures.HEADINGS)
    assert figures.row(result(sent=2_000_000, seconds=2.0, gateway_cpu=1.5, gateway_calm_cpu=0.5), aims)[
        1:3
    ] == [
        "1",
        "1",
    ]
    assert figures.as_json(result(under=51), aims)["verdict"] == "MISSED"
    assert figures.table([("a", "b")], ("x", "y")) == "| x | y |\n| --- | --- |\n| a | b |"


def test_a_stream_that_is_no_deflate_would_be_seen() -> None:
    """The bytes of a compressed frame are raw deflate."""
    whole = deflated(b"hello" * 100, TEXT)
    assert zlib.decompressobj(-15).decompress(masked(whole[6:]) + b"\x00\x00\xff\xff") == b"hello" * 100
