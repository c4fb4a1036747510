"""``python -m router.log``: its arguments and what it says."""

import pytest
from tests.support.log_stream import RULES, LogStream

from router import log
from router.shell import log_printer, shard_log


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch):
    for module, name in ((shard_log, "PATIENCE_S"), (log_printer, "FIRST_S"), (log_printer, "SILENCE_S")):
        monkeypatch.setattr(module, name, 0.05)
    for name in ("WARREN_SHARDS", "WARREN_AMQP_URL", "WARREN_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    return LogStream()


def test_it_writes_lines_and_ends_well(stream, capsys):
    """On standard output, and nothing else there."""
    stream.put(RULES)
    assert log.main(["--shard", "0", "--from", "first"], lambda settings: stream) == 0
    said = capsys.readouterr()
    assert said.out.startswith("         0  ")
    assert (said.out.count("\n"), said.err) == (1, "")


def test_the_stream_is_that_of_the_settings(stream, monkeypatch):
    """Prefix and shard name it."""
    monkeypatch.setenv("WARREN_PREFIX", "other")
    monkeypatch.setenv("WARREN_SHARDS", "4")
    stream.put(RULES)
    asked = []
    tail = stream.tail

    async def listening(name, *arguments, **more):
        asked.append(name)
        await tail(name, *arguments, **more)

    stream.tail = listening
    assert log.main(["--shard", "3", "--from", "0"], lambda settings: stream) == 0
    assert set(asked) == {"other.log.3"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--shard", "0"], "warren.log.0 is empty"),
        (["--shard", "0", "--from", "first"], "warren.log.0 is empty"),
    ],
)
def test_where_there_is_nothing_it_says_so(stream, capsys, arguments, said):
    """In one line, with code 1."""
    assert log.main(arguments, lambda settings: stream) == 1
    assert said in capsys.readouterr().err


def test_a_shard_that_there_is_not_is_named_with_those_that_there_are(stream, capsys, monkeypatch):
    """As the settings have it."""
    monkeypatch.setenv("WARREN_SHARDS", "4")
    for shard in ("4", "-1"):
        assert log.main(["--shard", shard], lambda settings: stream) == 2
        assert f"there is no shard {shard}: WARREN_SHARDS is 4, so 0 to 3" in capsys.readouterr().err


def test_a_broker_that_is_away_is_said_in_a_line(stream, capsys):
    """With code 1."""
    stream.breaks = 99
    assert log.main(["--shard", "0"], lambda settings: stream) == 1
    assert capsys.readouterr().err.startswith("router.log: ")


def test_wrong_settings_are_said_as_the_router_says_them(stream, capsys, monkeypatch):
    """With code 2, each in a line."""
    monkeypatch.setenv("WARREN_SHARDS", "many")
    assert log.main(["--shard", "0"], lambda settings: stream) == 2
    assert "WARREN_SHARDS" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["--shard", "x"], ["--shard", "0", "--from", "soon"], ["--shard", "0", "x"]]
)
def test_wrong_arguments_end_with_code_2(stream, capsys, arguments):
    """And the usage."""
    with pytest.raises(SystemExit) as ended:
        log.main(arguments, lambda settings: stream)
    assert ended.value.code == 2
    assert "usage: python -m router.log" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "place"),
    [("first", "first"), ("0", 0), ("1042", 1042), ("30s", 30.0), ("5m", 300.0), ("2h", 7_200.0)],
)
def test_a_place_is_an_offset_or_a_time_back(text, place):
    """Or the beginning."""
    found = log._begin(text)
    assert (found, type(found)) == (place, type(place))


def test_who_reads_the_lines_may_stop(stream, monkeypatch):
    """As ``head`` does: that is no failure."""
    stream.put(RULES)

    def full(lines):
        raise BrokenPipeError

    monkeypatch.setattr(log, "write", full)
    monkeypatch.setattr(log.os, "dup2", lambda *descriptors: None)
    assert log.main(["--shard", "0", "--from", "first"], lambda settings: stream) == 0
