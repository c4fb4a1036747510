"""Problem: what is answered in place of a result, over HTTP and AMQP alike (RFC 9457). It decides nothing."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from warren.contract.fields import says

PROBLEM_TYPE: Final = "application/problem+json"


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong with a command."""

    pointer: Annotated[str, says("Where: a JSON pointer (RFC 6901); empty: all of it.")]
    detail: Annotated[str, says("What is wrong there.")]


class Problem(msgspec.Struct, frozen=True, omit_defaults=True, rename={"type_": "type"}):
    """Why a command was not done."""

    type_: Annotated[str, says("An address that names the kind of problem.")]
    title: Annotated[str, says("The kind of problem in words.")]
    status: Annotated[int, says("The HTTP status.")]
    detail: Annotated[str, says("What is wrong with this command.")]
    code: Annotated[str, says("Warren's code, as in ERROR frames, or one that only a backend can meet.")]
    retry: Annotated[bool, says("Whether the same command may be sent again.")]
    retry_after_ms: Annotated[int | None, says("How long to wait before that.")] = None
    trace_id: Annotated[str | None, says("The trace of the command: the services' log lines have it.")] = None
    errors: Annotated[list[Fault] | None, says("Each thing that is wrong with the command.")] = None
