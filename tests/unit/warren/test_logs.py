"""Logs: one JSON line for each event, and no secret in any."""

import io
import json
import logging
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren.logs import JsonLines, configure, event, get_logger
from warren.settings import LogSettings


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(False)
    logging.raiseExceptions = True


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    configure("gateway", LogSettings(), stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_with_its_fields(stream: io.StringIO) -> None:
    """An event is one JSON line: time, level, service, logger, event, then its fields; None is left out."""
    event(
        get_logger("gateway.server"),
        "ws_connect",
        connection="g~1",
        user="ann",
        ip="10.0.0.1",
        trace_id=None,
        n=3,
        ok=True,
    )
    (line,) = lines(stream)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("ts"))
    assert line == {
        "level": "info",
        "service": "gateway",
        "logger": "gateway.server",
        "event": "ws_connect",
        "connection": "g~1",
        "user": "ann",
        "ip": "10.0.0.1",
        "n": 3,
        "ok": True,
    }


def test_an_exception_is_one_field(stream: io.StringIO) -> None:
    """An exception with its traceback is one field of the line."""
    try:
        raise ValueError("boom")
    except ValueError as error:
        event(get_logger("x"), "failed", level=logging.ERROR, error=error)
    (line,) = lines(stream)
    assert line["level"] == "error"
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: boom")


def test_an_exception_that_is_none_is_left_out(stream: io.StringIO) -> None:
    """As where a library logs one outside of its handler; and a field has no say in it."""
    get_logger("x").exception("odd")
    event(get_logger("x"), "own", exc_info="hunter2")
    first, second = lines(stream)
    assert "exception" not in first
    assert (second["exc_info_"], "exception" in second) == ("hunter2", False)


def test_no_line_holds_a_secret(stream: io.StringIO) -> None:
    """Values of telling names, credentials in URLs and bearer tokens are blotted out wherever they stand."""
    logger = get_logger("x")
    try:
        raise OSError("can't reach amqp://ann:hunter2@broker:5672/")
    except OSError as error:
        event(
            logger,
            "bus_down",
            error=error,
            url="amqps://ann:hunter2@b/,amqp://bob:hunter2@c",
            jwt_secret="hunter2",
        )
    event(
        logger,
        "nested",
        headers={"Authorization": "hunter2", "X": "Bearer hunter2.a-b_c"},
        tokens=["hunter2"],
    )
    logger.warning("GET /ws?token=hunter2&x=1 with bearer.hunter2 at %s", "http://u:hunter2@h")
    event(logger, "upgrade", path="/ws?access_token=hunter2", password=b"hunter2", error=None)
    assert "hunter2" not in stream.getvalue()
    first, second, third, fourth = lines(stream)
    assert first["url"] == "amqps://***@b/,amqp://***@c"
    assert second["headers"] == {"Authorization": "***", "X": "Bearer ***"}
    assert third["event"] == "GET /ws?token=***&x=1 with bearer.*** at http://***@h"
    assert fourth["path"] == "/ws?access_token=***"


def test_any_value_becomes_a_line(stream: io.StringIO) -> None:
    """What JSON can't hold as it is becomes text, and fields never take the place of the line's own."""
    event(
        get_logger("x"),
        "odd",
        data=b"\xff\x00",
        what={1: {2}},
        text="\ud800 ü\n",
        big=2**70,
        path=Path("/a"),
        level_=1,
        event_="e",
    )
    event(get_logger("x"), "own", ts=1, service="router", logger="z")
    first, second = lines(stream)
    assert first["what"] == {"1": [2]}
    assert first["big"] == str(2**70)
    assert (first["text"], first["path"]) == ("? ü\n", "/a")
    assert (first["event"], first["level"]) == ("odd", "info")
    assert second["service"] == "router"
    assert (second["logger"], second["logger_"], second["ts_"]) == ("x", "z", 1)


odd_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary(max_size=8)
    | st.text(st.characters(), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(), max_size=4) | st.integers(), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(
    st.text(st.characters(), max_size=20),
    st.dictionaries(st.sampled_from(["connection", "user", "ts", "x"]), odd_values),
)
def test_no_field_keeps_a_line_from_being_written(name: str, fields: dict[str, Any]) -> None:
    """Whatever the name and the fields hold, one event is one line of JSON."""
    record = logging.LogRecord("x", logging.INFO, "", 0, name.replace("%", "%%"), (), None)
    vars(record)["warren_fields"] = fields
    line = JsonLines("gateway").format(record)
    assert "\n" not in line
    assert set(json.loads(line)) >= {"ts", "level", "service", "logger", "event"}


def test_the_level_counts_and_noisy_libraries_speak_up_at_warning(stream: io.StringIO) -> None:
    """What is below the level is not logged; the libraries below need a warning to be heard."""
    event(get_logger("x"), "fine", level=logging.DEBUG)
    for name in ("aio_pika.connection", "aiormq", "aiohttp.access", "asyncio"):
        get_logger(name).info("chatter")
        get_logger(name).warning("trouble %d", 1)
    assert [(line["logger"], line["event"]) for line in lines(stream)] == [
        ("aio_pika.connection", "trouble 1"),
        ("aiormq", "trouble 1"),
        ("aiohttp.access", "trouble 1"),
        ("asyncio", "trouble 1"),
    ]
    again = io.StringIO()
    configure("gateway", LogSettings(log_level="debug"), again)
    event(get_logger("x"), "fine", level=logging.DEBUG)
    assert len(lines(again)) == 1


def test_the_reader_of_settings_never_tells_what_it_read(stream: io.StringIO) -> None:
    """pydantic-settings would log each source's values where PYDANTIC_SETTINGS_DEBUG is set; so at any level of ours."""
    configure("gateway", LogSettings(log_level="debug"), stream)
    get_logger("pydantic_settings").debug("sources: {'amqp_url': 'sesame'}")
    assert lines(stream) == []


def test_a_line_that_cannot_be_written_raises_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a broken pipe nor a value that has no text ends the caller, or prints a traceback."""

    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    class Textless:
        def __str__(self) -> str:
            raise RuntimeError

    configure("gateway", LogSettings(), Broken())
    event(get_logger("x"), "lost")
    configure("gateway", LogSettings(), io.StringIO())
    event(get_logger("x"), "lost", value=Textless())
    get_logger("x").warning("%d", "no number")
    assert capsys.readouterr() == ("", "")


def test_warnings_are_lines_too(stream: io.StringIO) -> None:
    """Python's warnings go through the log and not to standard error."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure("gateway", LogSettings(), stream)
        warnings.warn("old ways", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(False)
    assert "old ways" in lines(stream)[-1]["event"]


def test_lines_go_to_a_file_that_may_be_rotated(tmp_path: Path) -> None:
    """With a file in the settings lines are appended there, also after the file was moved away."""
    file = tmp_path / "warren.log"
    configure("router", LogSettings(log_file=str(file)))
    event(get_logger("x"), "first")
    file.rename(tmp_path / "old.log")
    event(get_logger("x"), "second")
    configure("router", LogSettings(), io.StringIO())
    assert json.loads((tmp_path / "old.log").read_text())["event"] == "first"
    assert json.loads(file.read_text())["event"] == "second"


def test_configuring_again_replaces_the_last(stream: io.StringIO) -> None:
    """A second configuration takes the place of the first: no line comes twice."""
    other = io.StringIO()
    configure("router", LogSettings(), other)
    event(get_logger("x"), "once")
    assert lines(stream) == []
    assert [line["service"] for line in lines(other)] == ["router"]
