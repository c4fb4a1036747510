"""OTEL_*: what is asked for, what can't be followed, and that nothing of it is repeated."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.util.re import parse_env_headers

from warren.otel_env import otel_problems, tracing_variables

ON = {"OTEL_TRACES_EXPORTER": "otlp"}
SECRET = "sesame-Open"


def test_nothing_set_asks_for_nothing() -> None:
    """No exporter, and a parent's decision would count."""
    found = tracing_variables({})
    assert (found.endpoint, found.parent_counts, found.ratio, found.problems) == (None, True, 1.0, ())


@pytest.mark.parametrize(
    ("env", "endpoint"),
    [
        (ON, "http://localhost:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c:4318/"}, "https://c:4318/v1/traces"),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/x", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://d"},
            "http://c/x",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "True"}, None),
    ],
)
def test_the_endpoint_is_the_one_for_traces_or_that_for_all(
    env: dict[str, str], endpoint: str | None
) -> None:
    """And there is none where tracing is switched off."""
    found = tracing_variables(env)
    assert (found.endpoint, found.problems) == (endpoint, ())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("OTEL_TRACES_EXPORTER", SECRET),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", SECRET),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://u:{SECRET}/x@h:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://h:{SECRET}"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", SECRET),
        ("OTEL_EXPORTER_OTLP_HEADERS", f"authorization {SECRET}"),
        ("OTEL_EXPORTER_OTLP_HEADERS", f"a=b,{SECRET}"),
        ("OTEL_EXPORTER_OTLP_HEADERS", f"key={SECRET}\nx"),
        ("OTEL_EXPORTER_OTLP_HEADERS", f"key={SECRET}%0d%0aX: y"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", f'key="{SECRET}"'),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", SECRET),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", SECRET),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "nan"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", f"/no/{SECRET}"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", f"/no/{SECRET}"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", f"/no/{SECRET}"),
        ("OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER", SECRET),
        ("OTEL_TRACES_SAMPLER", SECRET),
        ("OTEL_RESOURCE_ATTRIBUTES", SECRET),
        ("OTEL_BSP_MAX_QUEUE_SIZE", SECRET),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "1.5"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", SECRET),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "-1"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "many"),
        ("OTEL_PROPAGATORS", SECRET),
        ("OTEL_PYTHON_CONTEXT", SECRET),
    ],
)
def test_what_cannot_be_followed_is_named_and_not_repeated(name: str, text: str) -> None:
    """Each wrong variable is one problem that begins with its name."""
    (problem,) = tracing_variables({**ON, name: text}).problems
    assert problem.startswith(f"{name}")
    assert SECRET not in problem
    assert otel_problems(None, {**ON, name: text}) == [problem]


def test_the_ratio_is_a_number_from_0_to_1() -> None:
    """Nothing else is."""
    for text in ("2", "-0.1", "nan", "inf", SECRET):
        env = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": text}
        assert tracing_variables(env).problems == ("OTEL_TRACES_SAMPLER_ARG: must be a number from 0 to 1",)


def test_batches_fit_into_the_queue() -> None:
    """A small queue makes the batch smaller by itself; a batch that was asked for and does not fit is a
    problem.
    """
    small = tracing_variables({**ON, "OTEL_BSP_MAX_QUEUE_SIZE": "100"})
    assert (small.queue_size, small.batch_size, small.problems) == (100, 100, ())
    wrong = tracing_variables(
        {**ON, "OTEL_BSP_MAX_QUEUE_SIZE": "100", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "101"}
    )
    assert [problem.partition(":")[0] for problem in wrong.problems] == ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"]


def test_what_only_an_exporter_reads_is_no_matter_without_one() -> None:
    """An environment that is shared with others does not keep a service from starting."""
    assert (
        tracing_variables({"OTEL_EXPORTER_OTLP_HEADERS": "?", "OTEL_BSP_MAX_QUEUE_SIZE": "?"}).problems == ()
    )


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
def test_headers_that_are_taken_are_taken_by_opentelemetry_too(text: str) -> None:
    """It repeats what it can't read in its log, so whatever passes here must be read there without a word."""
    if tracing_variables({**ON, "OTEL_EXPORTER_OTLP_HEADERS": text}).problems:
        return
    parts = [part for part in text.split(",") if part.strip()]
    assert len(parse_env_headers(text, liberal=True)) == len(
        {part.partition("=")[0].strip().lower() for part in parts}
    )


def test_it_imports_nothing_of_opentelemetry() -> None:
    """That reads some variables when it is imported, so they must be looked at before."""
    first = (
        "warren.otel_env",
        "warren.settings",
        "warren.bus.rabbit.bus",
        "warren.lifecycle",
        "gateway.shell.auth",
        "router.settings",
    )
    code = f"import sys, {', '.join(first)}, embedded.settings"
    code += "; print([name for name in sys.modules if name.startswith('opentelemetry')])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
