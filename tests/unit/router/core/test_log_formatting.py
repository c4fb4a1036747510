"""LogLines: what a person reads of an entry."""

import pytest

from router.core import log_formatting
from router.core.effects import BackendEvent, CommandDone, FeedItem
from warren import envelope as wire
from warren.envelope import (
    Ack,
    Batch,
    Checkpoint,
    Command,
    Commanded,
    Deliver,
    Gone,
    Hello,
    Join,
    Leave,
    Mark,
    Notified,
    Publish,
    Refused,
    Rules,
)
from warren.position import Position

AT = 1_764_000_000_123_456
TIME = "2025-11-24T16:00:00.123Z"
NONE = "-" * 24


def lines(*envelopes, outcomes=None, became="", room="", payloads=False):
    """Return the lines of an entry, each without its time and with the entry's size left out."""
    record = wire.encode(envelopes)
    found = log_formatting.entry(record, outcomes, became, room, payloads=payloads)
    return [line.replace(f"  {len(record)} bytes", "") for line in found]


def told(seq):
    return Deliver("a", "life-1", seq, "CHAT", b"{}", AT, "g1~1", "ann", "m1")


PUBLISH = Publish("a", "CHAT", b"{}", AT, "g1~1", "ann", "m1")
ACK = FeedItem(2, ("g1",), Ack("g1~1", "a", "m1", "life-1", 7))


@pytest.mark.parametrize(
    ("envelope", "line"),
    [
        (Gone("g1", 3, AT), f"{TIME}  gone  g1  life=3"),
        (Rules("l", 1, 2, 3, 4, AT), f"{TIME}  rules  life=l  version=1  ids=2 rooms=3 gone=4"),
        (
            Rules("l", 1, 2, 3, 4, AT, anew=True),
            f"{TIME}  rules  life=l  version=1  ids=2 rooms=3 gone=4  anew",
        ),
        (Mark("r1", AT), f"{TIME}  mark  by=r1"),
        (Checkpoint("r1", 9, 0, 2, b"\x01", b""), f"{NONE}  checkpoint  by=r1  of=9  part 1 of 2  digest=01"),
        (Notified("r1", AT), f"{TIME}  notified  by=r1"),
        (Batch("g1", 2, 5, AT), f"{TIME}  batch  g1  life=2  number=5"),
        (wire.Leaving("g1"), f"{NONE}  leaving  begins no entry"),
    ],
)
def test_an_entry_is_told_by_its_head(envelope, line):
    """What it is, whose, and when."""
    assert lines(envelope) == [line]


def test_a_command_is_told_with_all_that_it_says_and_what_came_of_it():
    """What backends and clients wrote can't play with a terminal."""
    head = Commanded("r1", AT)
    kick = Command("c 1", "disconnect", "@ann", "", ("g1~1", "g1~2"), 4001, "\x1b[2J")
    done = CommandDone(1, "c 1", "@ann", "r1", b'{"connections":2}')
    assert lines(head, kick, outcomes=[done]) == [
        f"{TIME}  commanded  by=r1",
        (
            f'{TIME}    command  disconnect  @ann  id="c 1"  spare="g1~1 g1~2"  code=4001  '
            'reason="\\u001b[2J"  {"connections":2}'
        ),
    ]
    block = Command("c", "block", "a", "ann", until_ms=AT // 1_000)
    assert lines(head, block, room="a")[1:] == [f"{TIME}    command  block  a  id=c  user=ann  until={TIME}"]
    assert lines(head, block, room="b") == []
    others = [
        Command("c", "revoke", "@ann", token_id="t", before_s=AT // 1_000_000),
        Command("c", "add", "@ann", rooms=("a", "b")),
        Command("c", "remove", "a", conn="g1~1"),
    ]
    assert [lines(head, each, became="repeat")[1][len(TIME) :] for each in others] == [
        "    command  revoke  @ann  id=c  token=t  before=2025-11-24T16:00:00.000Z",
        '    command  add  @ann  id=c  rooms="a b"',
        "    command  remove  a  id=c  conn=g1~1",
    ]


def test_each_envelope_has_a_line():
    """With the room, who, and how much; seqs only where they are known."""
    ephemeral = Publish("a", "TYPING", b"1", AT, "g1~1", "ann", "~1", ephemeral=True)
    since = Position("life-0", 4)
    entry = (Batch("g1", 1, 1, AT), Hello(), Join("a", "g1~1", "ann", "", since), PUBLISH, ephemeral)
    assert lines(*entry, Leave(("a", "b"), "g1~1", "", "ann"), Mark("r", AT)) == [
        f"{TIME}  batch  g1  life=1  number=1",
        f"{TIME}    hello",
        f"{TIME}    join  a  from=g1~1(ann)  since=life-0/4",
        f"{TIME}    publish  a  seq=?  type=CHAT  id=m1  from=g1~1(ann)  2 bytes",
        f"{TIME}    ephemeral  a  seq=?  type=TYPING  id=~1  from=g1~1(ann)  1 bytes",
        f"{TIME}    leave  a b  from=g1~1(ann)",
        f"{TIME}    mark  stands in no entry",
    ]


def test_what_is_shown_of_members_has_its_lines():
    """How much, and never what: an info is the member's own."""
    entry = (
        Batch("g1", 1, 1, AT),
        Join("a", "g1~1", "ann", info=b'{"x":1}', presence=3),
        Join("a", "g1~2", "ann", presence=9),
        wire.Watch("a", "g1~1", "ann", on=True),
        wire.Watch("b", "g1~1", "ann", on=False),
        wire.Inform("a", "g1~1", b"{}"),
    )
    assert lines(*entry)[1:] == [
        f"{TIME}    join  a  from=g1~1(ann)  presence=users  info=7 bytes",
        f"{TIME}    join  a  from=g1~2(ann)  presence=?",
        f"{TIME}    watch  a  from=g1~1(ann)",
        f"{TIME}    unwatch  b  from=g1~1(ann)",
        f"{TIME}    inform  a  from=g1~1  info=2 bytes",
    ]
    assert [line.split()[1] for line in lines(*entry, room="a")[1:]] == ["join", "join", "watch", "inform"]


@pytest.mark.parametrize(
    ("message", "outcomes", "fate"),
    [
        (
            PUBLISH,
            [FeedItem(1, ("g1",), told(7)), ACK, BackendEvent(3, "message", "a", AT, message=told(7))],
            "seq=7 epoch=life-1",
        ),
        (PUBLISH, [BackendEvent(1, "message", "a", AT, message=told(7))], "seq=7 epoch=life-1"),
        (PUBLISH, [ACK], "repeat of seq=7 epoch=life-1"),
        (PUBLISH, [FeedItem(1, ("g1",), Refused("g1~1", "m1", "invalid_room", ""))], "refused=invalid_room"),
        (PUBLISH, [FeedItem(1, ("g1",), Ack("g1~1", "b", "m1", "life-1", 7))], "repeat"),
        (Publish("a", "CHAT", b"{}", AT, id="~1"), [], "repeat"),
        (Publish("no room", "CHAT", b"{}", AT), [], "refused"),
        (Publish("g2~1", "CHAT", b"{}", AT), [], "to nobody"),
    ],
)
def test_what_became_of_a_message_is_told_by_the_outcomes(message, outcomes, fate):
    """A number, that of the message it repeats, or why it has none."""
    assert lines(Batch("g1", 1, 2, AT), message, outcomes=outcomes)[1].split("  ")[4] == fate


def test_messages_that_look_alike_are_told_apart():
    """Each has the outcomes that are its own, in order."""
    alike = Publish("a", "CHAT", b"{}", AT, "g1~1", "ann")
    delivered = [Deliver("a", "e", seq, "CHAT", b"{}", AT, "g1~1", "ann") for seq in (1, 2)]
    outcomes = [
        FeedItem(1, ("g1",), delivered[0]),
        BackendEvent(2, "message", "a", AT, message=delivered[0]),
        FeedItem(3, ("g1",), delivered[1]),
        BackendEvent(4, "message", "a", AT, message=delivered[1]),
    ]
    found = lines(Batch("g1", 1, 2, AT), alike, alike, outcomes=outcomes)
    assert [line.split("  ")[4] for line in found[1:]] == ["seq=1 epoch=e", "seq=2 epoch=e"]


def test_a_member_that_comes_between_does_not_hide_a_seq():
    """Outcomes of JOINs and LEAVEs stand between those of messages."""
    entered = wire.Entered("g1~1", "a", Position("e", 0))
    outcomes = [
        FeedItem(1, ("g1",), entered),
        BackendEvent(2, "room.joined", "a", AT, "g1~1", "ann"),
        FeedItem(3, ("g1",), told(1)),
        BackendEvent(4, "message", "a", AT, message=told(1)),
    ]
    found = lines(Batch("g1", 1, 2, AT), Join("a", "g1~1", "ann"), PUBLISH, outcomes=outcomes)
    assert "seq=1 epoch=life-1" in found[2]


def test_a_join_that_was_refused_says_so():
    """And the message behind it has its own fate."""
    outcomes = [
        FeedItem(1, ("g1",), Refused("g1~1", "m1", "invalid_room", "")),
        FeedItem(2, ("g1",), told(1)),
        BackendEvent(3, "message", "a", AT, message=told(1)),
    ]
    found = lines(Batch("g1", 1, 2, AT), Join("a b", "g1~1", "ann", "m1"), PUBLISH, outcomes=outcomes)
    assert found[1].endswith("  refused")
    assert "seq=1 epoch=life-1" in found[2]


def test_an_entry_that_did_not_count_says_so():
    """And its messages have no fate of their own."""
    assert lines(Batch("g1", 1, 2, AT), PUBLISH, outcomes=[], became="repeat") == [
        f"{TIME}  batch  g1  life=1  number=2  repeat",
        f"{TIME}    publish  a  type=CHAT  id=m1  from=g1~1(ann)  2 bytes",
    ]


def test_a_room_alone_is_shown_with_its_entries():
    """What does not concern it is left out; a gateway that takes members of it along does."""
    other = Publish("b", "CHAT", b"{}", AT, "g1~1", "ann")
    entry = (Batch("g1", 1, 2, AT), other, PUBLISH, Leave(("b", "c"), "g1~1"))
    assert [line.split("  ")[1:4] for line in lines(*entry, room="a")] == [
        ["batch", "g1", "life=1"],
        ["", "publish", "a"],
    ]
    assert len(lines(*entry, room="c")) == 2
    assert lines(*entry, room="d") == []
    assert lines(Mark("r", AT), room="a") == []
    gone = [BackendEvent(1, "room.left", "a", AT, "g1~1", "ann", "gone")]
    assert lines(Gone("g1", 1, AT), outcomes=gone, room="a") == [f"{TIME}  gone  g1  life=1  1 members left"]
    assert lines(Gone("g1", 1, AT), outcomes=gone, room="b") == []


@pytest.mark.parametrize(
    ("payload", "binary", "line"),
    [
        (b'{"text":"h\xc3\xa9 there"}', False, 'payload={"text":"h\xe9 there"}'),
        (b"\x1b[2J", False, r'payload="\u001b[2J"'),
        (b"\xff", False, r"payload=\xff"),
        (b"\xff", True, "payload(base64)=/w=="),
    ],
)
def test_payloads_are_shown_where_they_are_asked_for(payload, binary, line):
    """As text that can't play with a terminal, or as base64."""
    entry = (Batch("g1", 1, 2, AT), Publish("a", "CHAT", payload, AT, "g1~1", binary=binary))
    assert lines(*entry, payloads=True)[1].endswith("  " + line)
    assert "payload" not in "".join(lines(*entry))


@pytest.mark.parametrize(
    ("text", "seen"),
    [("chat:lobby", "chat:lobby"), ("", '""'), ("a b", '"a b"'), ("\x1b[2J", r'"\u001b[2J"'), ('"', r'"\""')],
)
def test_names_are_one_printable_word(text, seen):
    """Whoever gave them."""
    assert log_formatting.shown(text) == seen


@pytest.mark.parametrize(("at_us", "seen"), [(AT, TIME), (-1, "1969-12-31T23:59:59.999Z"), (2**63, "-" * 24)])
def test_times_are_in_utc(at_us, seen):
    """To the millisecond; one that can't be is dashes."""
    assert log_formatting.time_of(at_us) == seen


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (b"\xc1\x00", "begins c1 00"),
        (b"", "begins "),
        (wire.encode([]), "no envelope"),
        (b"\x92\x01\x91\x91\xa3???", "unreadable"),
    ],
)
def test_what_can_not_be_read_is_shown_all_the_same(record, said):
    """It is one line; a look at one room leaves it out."""
    (line,) = log_formatting.entry(record, None, "", "", payloads=True)
    assert said in line
    assert log_formatting.entry(record, None, "", "a", payloads=True) == []


def test_an_envelope_that_can_not_be_read_does_not_hide_the_others():
    """The rest of its entry is shown."""
    record = wire.encode([Batch("g1", 1, 2, AT), PUBLISH]).replace(b"\xa1P", b"\xa1W")
    found = log_formatting.entry(record, None, "", "", payloads=False)
    assert found[0].split("  ")[1:3] == ["batch", "g1"]
    assert "unreadable" in found[1]
