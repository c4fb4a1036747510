"""Logs: one JSON line for each event, the same form for our own lines and for those of the libraries below.

``ts`` (ISO 8601, UTC, ms), ``level``, ``service``, ``logger``, ``event``, then the fields of the event
(``connection``, ``trace_id``, …); an exception is one field. A line goes through structlog's processors, of
which one blots out secrets: values of telling names, and credentials inside of URLs and texts. Shell modules
log by ``event``; core modules never log. A line that can't be written is lost without a word.
"""

from __future__ import annotations

import logging
import logging.handlers
import re
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson
from structlog.processors import JSONRenderer, format_exc_info
from structlog.stdlib import ProcessorFormatter

from warren.settings import HIDDEN, LogSettings

get_logger = logging.getLogger

EventDict = MutableMapping[str, Any]

_FIELDS = "warren_fields"
_SECRET_NAMES = re.compile(
    r"token|secret|password|passwd|authorization|cookie|api_?key|private_key", re.IGNORECASE
)
# Up to the last @ of an address: a password that is not escaped may hold a delimiter, and an @ too.
_CREDENTIALS = re.compile(r"(?<=://)(?:(?!://)\S)+(?=@)")
_TOKENS = re.compile(r"(?i)([?&](?:access_)?token=|\bbearer[ .])[A-Za-z0-9_\-.~+/=%]+")

# Libraries that tell more than an operator wants to read at their own INFO; pydantic_settings tells secrets.
_NOISY = (
    "aio_pika", "aiormq", "aiohttp", "asyncio", "opentelemetry", "urllib3", "requests", "pydantic_settings",
)  # fmt: skip

# The line's own keys, and structlog's for an exception: a field of such a name gets a _ behind it.
_OWN = frozenset({"ts", "level", "logger", "event", "exc_info"})
_PLAIN = frozenset({"ts", "level", "logger"})  # of these, what can hold no secret


def event(
    logger: logging.Logger,
    name: str,
    /,
    *,
    level: int = logging.INFO,
    error: BaseException | None = None,
    **fields: Any,
) -> None:
    """Log that ``name`` (a snake_case noun of what happened) has happened, with its fields; None values are
    left out.

    ``error`` adds the exception with its traceback; for what an operator can understand without one pass
    ``reason=str(error)``.
    """
    if logger.isEnabledFor(level):
        exc_info = None if error is None else (type(error), error, error.__traceback__)
        logger.log(level, name, exc_info=exc_info, extra={_FIELDS: fields})


def configure(service: str, settings: LogSettings | None = None, stream: TextIO | None = None) -> None:
    """Send every logger of the process through JSON lines to ``stream``, else the settings' file, else
    standard output.

    Calling it again replaces what the last call installed. Raises OSError where the file can't be opened.
    """
    settings = settings or LogSettings()
    handler: logging.Handler
    if stream is None and settings.log_file:
        # WatchedFileHandler opens the file again after logrotate has moved it.
        handler = logging.handlers.WatchedFileHandler(settings.log_file, encoding="utf-8")
    else:
        handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonLines(service))
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old.formatter, JsonLines)]:
        root.removeHandler(old)
        if not isinstance(old, logging.StreamHandler) or isinstance(old, logging.FileHandler):
            old.close()
    root.addHandler(handler)
    root.setLevel(settings.log_level.upper())
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a full disk or a closed pipe must not print tracebacks for each line


class JsonLines(ProcessorFormatter):
    """A record, ours or a library's, becomes one line of JSON."""

    def __init__(self, service: str) -> None:
        """``service`` stands on every line, unless the event has its own."""
        super().__init__(processors=(_Line(service), format_exc_info, redact, JSONRenderer(_json)))


class _Line:
    """The first processor: the keys of the line, in their order."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, logger: object, method: str, event_dict: EventDict) -> EventDict:
        record: logging.LogRecord = event_dict["_record"]
        line: EventDict = {
            "ts": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "event": event_dict["event"],
        }
        for name, value in getattr(record, _FIELDS, {}).items():
            if value is not None:
                line[f"{name}_" if name in _OWN else name] = value
        if error := event_dict.get("exc_info"):
            line["exc_info"] = error
        return line


def redact(logger: object, method: str, event_dict: EventDict) -> EventDict:
    """Blot out what may be a secret, and make each value one that JSON can hold."""
    for name, value in event_dict.items():
        if name not in _PLAIN:
            event_dict[name] = _field(name, value)
    return event_dict


def _json(line: EventDict, **_: Any) -> str:
    return orjson.dumps(line, default=_text, option=orjson.OPT_NON_STR_KEYS).decode()


def _field(name: str, value: Any) -> Any:
    if isinstance(value, bool | float) or (isinstance(value, int) and -(2**63) <= value < 2**64):
        return value
    if _SECRET_NAMES.search(name):
        return HIDDEN
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, dict):
        return {_clean(str(key)): _field(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_field(name, item) for item in value]
    return _clean(_text(value))


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _clean(text: str) -> str:
    """Blot out credentials; and lone surrogates, which JSON can't hold."""
    text = text.encode("utf-8", "replace").decode() if not text.isascii() else text
    if "@" in text and "://" in text:
        text = _CREDENTIALS.sub(HIDDEN, text)
    return _TOKENS.sub(rf"\1{HIDDEN}", text)
