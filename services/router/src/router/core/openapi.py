"""OpenAPI: the document of the HTTP API (OpenAPI 3.1.0), made from the same definitions as its parser.

Plain data out, in a fixed order. It knows no server and no key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from router.core.control_problems import ProblemCode
from router.core.verbs import VERBS, Verb
from warren.contract.installation import KeyRights
from warren.contract.problem import PROBLEM_TYPE
from warren.contract.problem import Problem as ProblemBody
from warren.contract.schemas import reference, selected

_JSON: Final = "application/json"
# Which problems any command may come to, by status.
_ALWAYS: Final = (400, 401, 403, 408, 413, 415, 417, 429, 431, 500, 503)
_INTRODUCTION: Final = (
    "Commands of backends. Each verb is a `POST` with a JSON body; the same body may be sent over AMQP under "
    "the routing key `<verb>.<address>`. Verbs that change nothing may also be asked for by `GET`, their "
    "fields as a query."
)


def document(version: str) -> dict[str, Any]:
    """Return the document of this version of Warren."""
    structs = [cls for verb in VERBS.values() for cls in (verb.body, verb.result)]
    schemas = selected([*structs, KeyRights, ProblemBody])
    schemas["Problem"] = _problem_schema(schemas["Problem"])
    return {
        "openapi": "3.1.0",
        "info": {"title": "Warren", "version": version, "description": _INTRODUCTION},
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": {
            **{f"/v1/{name}": _path(verb, schemas) for name, verb in VERBS.items()},
            "/v1/key": {"get": _key_path(schemas)},
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "responses": {str(status): _problem(status) for status in _all_statuses()},
        },
    }


def _path(verb: Verb, schemas: Mapping[str, Any]) -> dict[str, Any]:
    body, result = verb.body.__name__, verb.result.__name__
    answers = {
        "200": {
            "description": schemas[result]["description"],
            "content": {_JSON: {"schema": reference(verb.result)}},
        },
        **{str(status): {"$ref": f"#/components/responses/{status}"} for status in _statuses(verb)},
    }
    common = {"summary": verb.summary, "description": f"Needs the scope `{verb.needs}`."}
    path: dict[str, Any] = {
        "post": {
            "operationId": verb.name,
            **common,
            **({} if verb.reads else {"parameters": [_IDEMPOTENCY]}),
            "requestBody": {
                "required": True,
                "content": {_JSON: {"schema": reference(verb.body)}},
            },
            "responses": answers,
        }
    }
    if verb.reads:
        path["get"] = {
            "operationId": f"get_{verb.name}",
            **common,
            "parameters": list(_query(schemas[body])),
            "responses": answers,
        }
    return path


def _key_path(schemas: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "operationId": "get_key",
        "summary": "See what the key may do",
        "description": "Needs a key, and no scope.",
        "responses": {
            "200": {
                "description": schemas[KeyRights.__name__]["description"],
                "content": {_JSON: {"schema": reference(KeyRights)}},
            },
            **{str(status): {"$ref": f"#/components/responses/{status}"} for status in _ALWAYS},
        },
    }


def _all_statuses() -> list[int]:
    return sorted({status for verb in VERBS.values() for status in _statuses(verb)})


def _statuses(verb: Verb) -> tuple[int, ...]:
    return tuple(sorted({*_ALWAYS, *verb.statuses}))


_IDEMPOTENCY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same as the field `id`: what makes it count once. In a batch, messages without an "
    "`id` get it with a dot and their number behind it.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-}][ -~]*$"},
}


def _query(schema: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        yield {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": field,
            **({"style": "form", "explode": True} if field.get("type") == "array" else {}),
        }


def _problem(status: int) -> dict[str, Any]:
    found = [code for code in ProblemCode if code.status == status]
    headers: dict[str, Any] = {}
    if any(code.retry for code in found):
        headers = {"headers": {"Retry-After": {"schema": {"type": "integer", "minimum": 0}}}}
    return {
        "description": f"A problem with the code {' or '.join(f'`{code.value}`' for code in found)}.",
        **headers,
        "content": {PROBLEM_TYPE: {"schema": reference(ProblemBody)}},
    }


def _problem_schema(schema: dict[str, Any]) -> dict[str, Any]:
    schema = dict(schema)
    schema["properties"] = {
        **schema["properties"],
        "code": {"type": "string", "enum": [code.value for code in ProblemCode]},
    }
    return schema
