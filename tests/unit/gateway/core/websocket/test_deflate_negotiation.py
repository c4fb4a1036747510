"""Offers of permessage-deflate: which one is taken, and how it is answered, beside a naive reading of the
RFC.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import NegotiationError
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension

from gateway.core.websocket import deflate_negotiation
from gateway.core.websocket.deflate_negotiation import OFFERS_MAX_CHARS, Deflate, negotiate
from gateway.core.websocket.frames import FULL_WINDOW, SMALL_WINDOW

PLAIN = "permessage-deflate; server_no_context_takeover"


@pytest.mark.parametrize(
    ("offers", "answer", "window", "client_bits"),
    [
        ("permessage-deflate", PLAIN, 15, 15),
        ("permessage-deflate; server_no_context_takeover", PLAIN, 15, 15),
        # gorilla/websocket, Java-WebSocket
        (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            f"{PLAIN}; client_no_context_takeover",
            15,
            0,
        ),
        ("permessage-deflate;client_no_context_takeover", f"{PLAIN}; client_no_context_takeover", 15, 0),
        # browsers, ws, websockets, aiohttp, .NET, Netty: the size of the client's window would be ours to say
        ("permessage-deflate; client_max_window_bits", PLAIN, 15, 15),
        ("permessage-deflate; client_max_window_bits=15", f"{PLAIN}; client_max_window_bits=15", 15, 15),
        ("permessage-deflate; client_max_window_bits=10", f"{PLAIN}; client_max_window_bits=10", 15, 10),
        ("permessage-deflate; client_max_window_bits=8", f"{PLAIN}; client_max_window_bits=8", 15, 8),
        # without a context the size of its window makes no difference to us
        (
            "permessage-deflate; client_max_window_bits=10; client_no_context_takeover",
            f"{PLAIN}; client_no_context_takeover",
            15,
            0,
        ),
        ("permessage-deflate; server_max_window_bits=15", f"{PLAIN}; server_max_window_bits=15", 15, 15),
        ("permessage-deflate; server_max_window_bits=14", f"{PLAIN}; server_max_window_bits=14", 9, 15),
        ("permessage-deflate; server_max_window_bits=9", f"{PLAIN}; server_max_window_bits=9", 9, 15),
        (
            (
                "permessage-deflate; client_max_window_bits; server_max_window_bits=10; "
                "client_no_context_takeover"
            ),
            f"{PLAIN}; server_max_window_bits=10; client_no_context_takeover",
            9,
            0,
        ),
        # zlib makes no raw stream with 8 bits: the small window keeps to that limit all the same
        ("permessage-deflate; server_max_window_bits=8", f"{PLAIN}; server_max_window_bits=8", 9, 15),
        (
            "permessage-deflate; server_max_window_bits=8; client_max_window_bits=8",
            f"{PLAIN}; server_max_window_bits=8; client_max_window_bits=8",
            9,
            8,
        ),
        # several offers: the first that can be kept
        (
            "permessage-deflate; server_max_window_bits=8, permessage-deflate",
            f"{PLAIN}; server_max_window_bits=8",
            9,
            15,
        ),
        # what is too long to be looked at hides nothing that stands before it
        (f"permessage-deflate, x-long; y={'z' * OFFERS_MAX_CHARS}", PLAIN, 15, 15),
        (f"x-other, permessage-deflate,{', ' * OFFERS_MAX_CHARS}", PLAIN, 15, 15),
        (
            "x-webkit-deflate-frame, permessage-deflate; client_max_window_bits",
            PLAIN,
            15,
            15,
        ),
        (
            "permessage-deflate; server_max_window_bits=10, permessage-deflate",
            f"{PLAIN}; server_max_window_bits=10",
            9,
            15,
        ),
        ("permessage-deflate; mystery, permessage-deflate", PLAIN, 15, 15),
        (",, permessage-deflate ,", PLAIN, 15, 15),
        # quoted values
        ('permessage-deflate; server_max_window_bits="10"', f"{PLAIN}; server_max_window_bits=10", 9, 15),
        (r'permessage-deflate; server_max_window_bits="1\0"', f"{PLAIN}; server_max_window_bits=10", 9, 15),
        ('foo; bar="permessage-deflate_negotiation, permessage-deflate; x"', None, 0, 0),
        (r'foo; bar="a\", permessage-deflate; x", permessage-deflate', PLAIN, 15, 15),
        ('permessage-deflate; mystery="a;b,c", permessage-deflate', PLAIN, 15, 15),
        # white space around separators, as RFC 2616 allows
        ("permessage-deflate\t;  server_max_window_bits = 12 ", f"{PLAIN}; server_max_window_bits=12", 9, 15),
    ],
)
def test_a_legal_offer_is_answered_by_the_rfc(offers: str, answer: str | None, window: int, client_bits: int):
    """What was offered and can be kept is named, each parameter once; the first such offer counts."""
    assert negotiate(offers) == (None if answer is None else Deflate(answer, window, client_bits))


@pytest.mark.parametrize(
    "offer",
    [
        "",
        "x-webkit-deflate-frame",
        "permessage-deflate2",
        "PERMESSAGE-DEFLATE",
        "permessage-deflate; mystery",
        "permessage-deflate; server_no_context_takeover=1",
        'permessage-deflate; client_no_context_takeover=""',
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=09",
        "permessage-deflate; server_max_window_bits=+9",
        "permessage-deflate; server_max_window_bits=\u0661\u0660",
        'permessage-deflate; server_max_window_bits="10',
        'permessage-deflate; server_max_window_bits="',
        'permessage-deflate; server_max_window_bits=" 10"',
        "permessage-deflate; client_max_window_bits=7",
        'permessage-deflate; client_max_window_bits=""',
        "permessage-deflate; client_max_window_bits; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=10; client_max_window_bits=10",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate;",
        "permessage-deflate;; client_no_context_takeover",
        "permessage-deflate client_no_context_takeover",
        "permessage-deflate; client_no_context_takeover server_no_context_takeover",
        "permessage-deflate; client_max_window_bits==10",
        "permessage-deflate; =10",
        "permessage-deflate=10",
        '"permessage-deflate"',
        "permessage-deflate; " + "client_no_context_takeover".ljust(OFFERS_MAX_CHARS),
        # cut at the end of what is looked at they would be legal
        "permessage-deflate".ljust(OFFERS_MAX_CHARS) + "; mystery",
        "permessage-deflate; server_max_window_bits=1".rjust(OFFERS_MAX_CHARS) + "6",
    ],
)
def test_an_offer_that_is_not_legal_or_cannot_be_kept_is_declined(offer: str):
    """Alone it gets no extension; before a good one, that one is taken, where the text still parses."""
    assert negotiate(offer) is None
    if offer.count('"') % 2 == 0 and len(offer) < OFFERS_MAX_CHARS:
        assert negotiate(f"{offer}, permessage-deflate") == Deflate(PLAIN, 15, 15)


VALUES = st.sampled_from(
    [None, "", "7", "8", "9", "10", "12", "14", "15", "16", "010", "x", "1 0", "a,b;c", '"', "\\"]
)
NAMES = st.sampled_from([*sorted(deflate_negotiation._NAMES), *sorted(deflate_negotiation._NAMES), "mystery"])
OFFERS = st.tuples(
    st.sampled_from(["permessage-deflate", "permessage-deflate", "permessage-deflate", "x-other"]),
    st.lists(st.tuples(NAMES, VALUES), max_size=5),
)
SPACES = st.sampled_from(["", " ", "\t", "  "])


def reference(offers: list[tuple[str, list[tuple[str, str | None]]]]) -> Deflate | None:
    """Negotiate from what was meant, step by step as sections 5 and 7 of RFC 7692 put it."""
    for name, parameters in offers:
        if name != "permessage-deflate":
            continue
        seen: dict[str, str | None] = {}
        good = True
        for parameter, value in parameters:
            bits = value in {"8", "9", "10", "11", "12", "13", "14", "15"}
            match parameter:
                case "server_no_context_takeover" | "client_no_context_takeover":
                    good &= value is None
                case "server_max_window_bits":
                    good &= bits
                case "client_max_window_bits":
                    good &= bits or value is None
                case _:
                    good = False
            good &= parameter not in seen
            seen[parameter] = value
        if not good:
            continue
        answer = ["permessage-deflate", "server_no_context_takeover"]
        window, client = FULL_WINDOW, 15
        if (wanted := seen.get("server_max_window_bits")) is not None:
            answer.append(f"server_max_window_bits={wanted}")
            window = FULL_WINDOW if wanted == "15" else SMALL_WINDOW
        if "client_no_context_takeover" in seen:
            answer.append("client_no_context_takeover")
            client = 0
        elif (wanted := seen.get("client_max_window_bits")) is not None:
            client = int(wanted)
            answer.append(f"client_max_window_bits={client}")
        return Deflate("; ".join(answer), window, client)
    return None


@given(st.lists(OFFERS, max_size=4), st.data())
def test_any_combination_is_answered_as_the_naive_reference_does(
    offers: list[tuple[str, list[tuple[str, str | None]]]], data: st.DataObject
) -> None:
    """In any order and number, values bare or quoted with any escapes, with any white space where it may
    stand.
    """

    def written(value: str | None) -> str:
        if value is None:
            return ""
        bare = value.isalnum()
        if bare and data.draw(st.booleans()):
            return f"{space()}={space()}{value}"
        quoted = "".join(f"\\{c}" if c in '"\\' or data.draw(st.integers(0, 3)) == 0 else c for c in value)
        return f'{space()}={space()}"{quoted}"'

    def space() -> str:
        return data.draw(SPACES)

    header = ",".join(
        space()
        + name
        + "".join(f"{space()};{space()}{p}{written(value)}" for p, value in parameters)
        + space()
        for name, parameters in offers
    )
    assert negotiate(header) == reference(offers)


@given(
    server_no_context=st.booleans(),
    client_no_context=st.booleans(),
    server_bits=st.none() | st.integers(8, 15),
    client_bits=st.none() | st.just(True) | st.integers(9, 15),
)
def test_the_library_websockets_takes_each_answer_to_its_own_offers(
    server_no_context: bool, client_no_context: bool, server_bits: int | None, client_bits: int | bool | None
) -> None:
    """Another implementation offers, reads our answer, and finds nothing that it did not ask for or that
    breaks what it asked for.
    """
    client = ClientPerMessageDeflateFactory(server_no_context, client_no_context, server_bits, client_bits)
    taken = negotiate(build_extension([("permessage-deflate", client.get_request_params())]))
    assert taken is not None
    ((name, parameters),) = parse_extension(taken.answer)
    assert name == "permessage-deflate"
    try:
        extension = client.process_response_params(parameters, [])
    except NegotiationError as error:  # pragma: no cover - the failure that this test is for
        pytest.fail(str(error))
    assert extension.remote_no_context_takeover
    # of 9 bits zlib uses no more than fits 8
    assert extension.remote_max_window_bits >= (8 if taken.window == SMALL_WINDOW else taken.window)
    assert taken.client_bits == (
        0 if extension.local_no_context_takeover else extension.local_max_window_bits
    )


@given(st.text(alphabet='permessage-deflate;,= "\\\t8"é\x00', max_size=80))
def test_no_text_raises(text: str) -> None:
    """Whatever stands in the header, there is an answer or none."""
    for offers in (text, f"permessage-deflate{text}", f"permessage-deflate; client_max_window_bits{text}"):
        taken = negotiate(offers)
        assert taken is None or taken.answer.startswith(PLAIN)


HARD = {
    "commas": ",",
    "semicolons": ";",
    "quotes": '"',
    "escaped quotes": '"\\',
    "escapes": "\\",
    "blanks": " ",
    "parameters": "; client_max_window_bits",
    "offers": "permessage-deflate; x,",
    "quoted values": '; a="\\""',
    "open quotes": '; a="',
}


def lines_run(offers: str) -> int:
    """Return how many lines of the negotiator are run for these offers."""
    count = 0

    def step(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if frame.f_code.co_filename != deflate_negotiation.__file__:
            return None
        count += event == "line"
        return step

    before = sys.gettrace()
    sys.settrace(step)
    try:
        negotiate(offers)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("piece", HARD.values(), ids=HARD.keys())
def test_the_work_grows_with_the_header_and_no_faster(piece: str, monkeypatch: pytest.MonkeyPatch):
    """Whatever it holds, where the limit of the length is taken away: in lines run, and in work inside a line, which would take
    minutes for a million characters if it grew with the square.
    """
    monkeypatch.setattr(deflate_negotiation, "OFFERS_MAX_CHARS", 2**30)
    short = "permessage-deflate" + piece * (2_000 // len(piece))
    long = "permessage-deflate" + piece * (4_000 // len(piece))
    assert lines_run(long) <= 2.1 * lines_run(short) + 100
    negotiate("permessage-deflate" + piece * (1_000_000 // len(piece)))
