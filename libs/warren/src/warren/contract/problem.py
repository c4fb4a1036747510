"""Problem: what is answered in place of a result, over HTTP and AMQP alike. Nothing here decides."""

from __future__ import annotations

from typing import Annotated

import msgspec

from warren.contract.fields import Milliseconds, ruled, says


class Problem(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What was refused, as RFC 9457 has it (`application/problem+json`)."""

    type: Annotated[str, says("An address that names the kind of problem.")]
    title: Annotated[str, says("The kind of problem in words.")]
    status: Annotated[Annotated[int, ruled(minimum=400, maximum=599)], says("The HTTP status.")]
    code: Annotated[str, says("Warren's code, as in ERROR frames, such as `forbidden`.")]
    retry: Annotated[bool, says("Whether the same request may be sent again.")]
    detail: Annotated[str, says("What is wrong with this request.")] = ""
    instance: Annotated[str, says("The request's path.")] = ""
    retry_after_ms: Annotated[Milliseconds | None, says("How long to wait before sending it again.")] = None
    trace_id: Annotated[str, says("The trace of the request: the services' log lines have it too.")] = ""
