"""OTEL_*: the standard variables of tracing, taken apart at the start.

OpenTelemetry reads most of them by itself, some when it is imported, and answers a wrong one with a
traceback, a guess, or a log line that repeats it; so each is looked at here first, and what is said of a
wrong one never repeats it. It imports nothing of OpenTelemetry, since that would read the environment, and
reads no environment itself.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from urllib.parse import unquote

from warren.readable_files import load_problem
from warren.urls import ESCAPES, WrongURL, check_http

DEFAULT_ENDPOINT: Final = "http://localhost:4318"
COMPRESSIONS: Final = ("none", "gzip", "deflate")
SAMPLERS: Final = "always_on, always_off, traceidratio, each also with parentbased_ before it"
PROPAGATORS: Final = ("tracecontext", "baggage", "none")
_EXPORTER: Final = "OTEL_EXPORTER_OTLP_"

# One header: a name of a header, and a value that is URL-encoded or plain, without delimiters.
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~\-]+[ \t]*=[ \x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
# What OpenTelemetry's spans are limited by; each is read when a tracer is made, and one when it is imported.
_LIMITS: Final = (
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
)


@dataclass(frozen=True, slots=True)
class TracingVariables:
    """What the variables ask for; ``endpoint`` None: nobody asked for an exporter."""

    endpoint: str | None
    parent_counts: bool  # a parent's flag decides
    ratio: float  # the share of what has no parent, or whose parent does not count
    attributes: Mapping[str, str]  # the resource's
    timeout_s: float = 10.0
    queue_size: int = 2_048
    batch_size: int = 512
    delay_ms: int = 5_000
    problems: tuple[str, ...] = field(default=())


def tracing_variables(env: Mapping[str, str]) -> TracingVariables:
    """Take the variables apart. ``problems`` names every one that can't be followed; the rest is then of no
    use.
    """
    problems: list[str] = []
    endpoint = _endpoint(env, problems)
    parent_counts, ratio = _sampler(env, problems)
    attributes = _attributes(env, problems)
    for name in _LIMITS:
        text = env.get(name, "").strip().lower()
        if text and text != "unset" and not _is_count(text, 0):
            problems.append(f"{name}: must be a whole number, 0 or more")
    propagators = [part.strip() for part in env.get("OTEL_PROPAGATORS", "").split(",") if part.strip()]
    if any(propagator not in PROPAGATORS for propagator in propagators):
        problems.append(
            f"OTEL_PROPAGATORS: each must be one of {', '.join(PROPAGATORS)}; Warren speaks W3C Trace Context"
        )
    if env.get("OTEL_PYTHON_CONTEXT", "contextvars_context") not in ("", "contextvars_context"):
        problems.append("OTEL_PYTHON_CONTEXT: must be contextvars_context, or not set")
    timeout_s, queue_size, batch_size, delay_ms = 10.0, 2_048, 512, 5_000
    if endpoint is not None:
        timeout_s = _exporter(env, problems)
        queue_size, batch_size, delay_ms = _batches(env, problems)
    return TracingVariables(
        endpoint,
        parent_counts,
        ratio,
        attributes,
        timeout_s,
        queue_size,
        batch_size,
        delay_ms,
        tuple(problems),
    )


def otel_problems(_: object, env: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the variables, as a check of ``settings.read``."""
    return list(tracing_variables(env).problems)


def _either(env: Mapping[str, str], what: str) -> tuple[str, str]:
    """Return the variable for traces, or else for all signals, that is set; (name, text), the text "" where
    none is.
    """
    for name in (f"{_EXPORTER}TRACES_{what}", f"{_EXPORTER}{what}"):
        if text := env.get(name, ""):
            return name, text
    return f"{_EXPORTER}{what}", ""


def _endpoint(env: Mapping[str, str], problems: list[str]) -> str | None:
    """Return where spans go; None where nobody asked for them."""
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    exporter = env.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    name, text = _either(env, "ENDPOINT")
    if exporter == "none" or not (exporter or text):
        return None
    if exporter not in ("", "otlp"):
        problems.append("OTEL_TRACES_EXPORTER: must be otlp or none")
    protocol_name, protocol = _either(env, "PROTOCOL")
    if protocol not in ("", "http/protobuf"):
        problems.append(
            f"{protocol_name}: only http/protobuf is supported; set {protocol_name}=http/protobuf (port "
            f"4318 of most collectors)"
        )
    try:
        check_http(text or DEFAULT_ENDPOINT)
    except WrongURL as wrong:
        problems.append(f"{name}: must be http://host:port or https://…: {wrong}; {ESCAPES}")
    if name.endswith("TRACES_ENDPOINT"):
        return text
    return (text or DEFAULT_ENDPOINT).rstrip("/") + "/v1/traces"


def _exporter(env: Mapping[str, str], problems: list[str]) -> float:
    """Check what the exporter reads by itself; return its time-out in seconds."""
    name, text = _either(env, "HEADERS")
    if text and not all(_is_header(part.strip()) for part in text.split(",") if part.strip()):
        problems.append(
            f"{name}: must be name=value,name=value; in a value write % as %25, a comma as %2C, ; as %3B "
            f'and " as %22'
        )
    name, text = _either(env, "COMPRESSION")
    if text and text.strip().lower() not in COMPRESSIONS:
        problems.append(f"{name}: must be one of {', '.join(COMPRESSIONS)}")
    name, text = _either(env, "TIMEOUT")
    timeout_s = _number(text or "10")
    if not 0 < timeout_s <= 86_400:
        problems.append(f"{name}: must be a number of seconds above 0")
    _certificates(env, problems)
    credentials = (f"OTEL_PYTHON_EXPORTER_OTLP_HTTP_{part}CREDENTIAL_PROVIDER" for part in ("", "TRACES_"))
    hint = "is not supported; give credentials by OTEL_EXPORTER_OTLP_HEADERS or a client certificate"
    problems += [f"{name}: {hint}" for name in credentials if env.get(name)]
    return timeout_s


def _certificates(env: Mapping[str, str], problems: list[str]) -> None:
    context = ssl.create_default_context()
    name, path = _either(env, "CERTIFICATE")
    if path:
        problems += load_problem(
            name, "no certificates in PEM", partial(context.load_verify_locations, cafile=path)
        )
    name, certificate = _either(env, "CLIENT_CERTIFICATE")
    key_name, key = _either(env, "CLIENT_KEY")
    if certificate:
        names = f"{name}, {key_name}" if key else name
        wrong = "no certificate with its key, both in PEM, and the key without a pass phrase"
        load = partial(context.load_cert_chain, certificate, key or None, password=lambda: "")
        problems += load_problem(names, wrong, load)
    elif key:
        problems.append(f"{key_name}: is set, and {name} is not")


def _batches(env: Mapping[str, str], problems: list[str]) -> tuple[int, int, int]:
    """Return how many spans may wait, how many go at once, and after how many ms."""
    before = len(problems)

    def count(what: str, default: int) -> int:
        text = env.get(f"OTEL_BSP_{what}", "").strip()
        if not text:
            return default
        if not _is_count(text, 1):
            problems.append(f"OTEL_BSP_{what}: must be a whole number, 1 or more")
            return default
        return int(text)

    queue, delay = count("MAX_QUEUE_SIZE", 2_048), count("SCHEDULE_DELAY", 5_000)
    batch = count("MAX_EXPORT_BATCH_SIZE", min(512, queue))
    count("EXPORT_TIMEOUT", 30_000)
    if batch > queue and len(problems) == before:
        problems.append(
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE: must not be more than OTEL_BSP_MAX_QUEUE_SIZE (2048 where "
            "that is not set)"
        )
    return queue, batch, delay


def _sampler(env: Mapping[str, str], problems: list[str]) -> tuple[bool, float]:
    """Return whether a parent's flag decides, and which share of the rest is sampled."""
    name = env.get("OTEL_TRACES_SAMPLER", "").strip().lower() or "parentbased_always_on"
    kind = name.removeprefix("parentbased_")
    ratio = {"always_on": 1.0, "always_off": 0.0}.get(kind, 1.0)
    if kind == "traceidratio":
        ratio = _number(env.get("OTEL_TRACES_SAMPLER_ARG", "").strip() or "1.0")
        if not 0.0 <= ratio <= 1.0:
            problems.append("OTEL_TRACES_SAMPLER_ARG: must be a number from 0 to 1")
    elif kind not in ("always_on", "always_off"):
        problems.append(f"OTEL_TRACES_SAMPLER: must be one of {SAMPLERS}")
    return name != kind, ratio


def _attributes(env: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in env.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","))):
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            problems.append(
                "OTEL_RESOURCE_ATTRIBUTES: must be key=value,key=value; in a value write a comma as %2C"
            )
        else:
            found[key.strip()] = unquote(value.strip())
    if env.get("OTEL_SERVICE_NAME"):
        found["service.name"] = env["OTEL_SERVICE_NAME"]
    return found


def _is_header(text: str) -> bool:
    value = unquote(text.partition("=")[2])
    return _HEADER.fullmatch(text) is not None and value.isprintable() and value.isascii()


def _is_count(text: str, least: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10 and int(text) >= least


def _number(text: str) -> float:
    """Return a number; -1 for what is none. ``nan`` is in no range."""
    try:
        return float(text)
    except ValueError:
        return -1.0
