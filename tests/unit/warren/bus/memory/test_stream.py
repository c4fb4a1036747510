"""MemoryStream: what it keeps, what it drops, and where a reader begins."""

import asyncio

from warren.bus import Record, Start, Timestamp
from warren.bus.memory.stream import SEGMENTS, MemoryStream
from warren.topology import Queue


def stream(max_bytes: int, segment_bytes: int | None = None) -> MemoryStream:
    arguments = {"x-max-length-bytes": max_bytes}
    if segment_bytes is not None:
        arguments["x-stream-max-segment-size-bytes"] = segment_bytes
    return MemoryStream(Queue("s", "stream", arguments), 1_000_000)


def fill(made: MemoryStream, count: int, at_ms: int = 0) -> None:
    for _ in range(count):
        made.put(b"%04d" % made._next, at_ms)


def offsets(records: list[Record]) -> list[int]:
    assert [int(record.body) for record in records] == [record.offset for record in records]
    return [record.offset for record in records]


async def test_an_empty_stream_has_no_records() -> None:
    """Its first and its last are the place of the next one."""
    made = stream(100)
    assert (len(made), made.first, made.last, made.after(0, 10)) == (0, 0, 0, [])
    places: list[Start] = ["first", "last", 7, Timestamp(1)]
    assert [made.place(start) for start in places] == [0, 0, 7, 0]


async def test_whole_segments_go() -> None:
    """Over its bytes it drops its oldest segment, and only when a new one begins; offsets run on."""
    made = stream(40, segment_bytes=16)
    fill(made, 12)  # three segments of four records
    assert (len(made), made.first, made.last) == (12, 0, 11)
    fill(made, 1)
    assert (len(made), made.first, made.last) == (9, 4, 12)
    fill(made, 3)
    assert made.first == 4
    fill(made, 1)
    assert (made.first, made.last) == (8, 16)


async def test_a_large_record_is_a_segment_of_its_own() -> None:
    """What is larger than a segment, or than the stream, is kept until the next one comes."""
    made = stream(40, segment_bytes=16)
    fill(made, 2)
    made.put(b"x" * 100, 0)
    assert (made.first, made.last) == (0, 2)
    fill(made, 1)
    assert (made.first, made.last) == (3, 3)


async def test_segments_have_a_size_without_being_told() -> None:
    """A stream that says nothing of segments has several within its bytes."""
    made = stream(SEGMENTS * 4)
    fill(made, SEGMENTS + 10)
    assert len(made) == SEGMENTS + 1


async def test_the_broker_may_allow_less_than_the_queue() -> None:
    """All of it is in memory: what a log may take on disks is more than that."""
    arguments = {"x-max-length-bytes": 1_000_000, "x-stream-max-segment-size-bytes": 62_500}
    made = MemoryStream(Queue("s", "stream", arguments), SEGMENTS * 4)
    fill(made, SEGMENTS + 10)
    assert len(made) == SEGMENTS + 1


async def test_a_reader_gets_what_is_there() -> None:
    """From an offset on, at most so many, over the bounds of segments; from the first that is left where it
    was dropped; nothing beyond the end.
    """
    made = stream(40, segment_bytes=16)
    fill(made, 17)
    assert offsets(made.after(0, 100)) == list(range(8, 17))
    assert offsets(made.after(10, 4)) == [10, 11, 12, 13]
    assert offsets(made.after(11, 1)) == [11]
    assert offsets(made.after(16, 9)) == [16]
    assert made.after(17, 9) == made.after(100, 9) == []


async def test_a_reader_begins_at_a_time() -> None:
    """At the first record of that second or later, and at the next one where there is none; a clock that goes
    back changes no order.
    """
    made = stream(1_000, segment_bytes=12)
    for at_ms in (10_900, 10_950, 12_000, 12_100, 11_000, 15_000, 15_999):
        fill(made, 1, at_ms)
    places = {ms: made.place(Timestamp(ms)) for ms in (0, 10_999, 11_000, 12_999, 13_000, 15_999, 16_000)}
    assert places == {0: 0, 10_999: 0, 11_000: 2, 12_999: 2, 13_000: 5, 15_999: 5, 16_000: 7}
    made = stream(24, segment_bytes=12)
    for second in range(10):
        fill(made, 1, second * 1_000)
    assert (made.first, made.place(Timestamp(1_000)), made.place(Timestamp(8_000))) == (3, 3, 8)


async def test_waiting_readers_are_woken() -> None:
    """By the next record, and by the stream's end."""
    made = stream(100)
    loop = asyncio.get_running_loop()
    one: asyncio.Future[None] = loop.create_future()
    two: asyncio.Future[None] = loop.create_future()
    gone: asyncio.Future[None] = loop.create_future()
    made.wait(one)
    made.wait(gone)
    gone.cancel()
    await asyncio.sleep(0)
    fill(made, 1)
    assert one.done()
    made.wait(two)
    assert not made.deleted
    made.end()
    assert made.deleted
    assert two.done()
