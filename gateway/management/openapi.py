"""The OpenAPI 3.1 document of the management API, made from the route table and the models. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway.errors import (
    BAD_REQUEST,
    BODY_TOO_LARGE,
    FORBIDDEN,
    INTERNAL,
    NOT_FOUND,
    OVERLOADED,
    RATE_LIMITED,
    UNAUTHENTICATED,
    Slug,
)
from gateway.management import models
from gateway.management.problems import STORE_UNAVAILABLE
from gateway.management.routes import PARAMETERS, ROOT, ROUTES, Route

USUAL = (BAD_REQUEST, UNAUTHENTICATED, FORBIDDEN, BODY_TOO_LARGE, RATE_LIMITED, INTERNAL, OVERLOADED, STORE_UNAVAILABLE)
"""What any request may be refused with."""

Schema = dict[str, Any]
Mode = Literal["validation", "serialization"]

_JSON = "application/json"
_DESCRIPTION = (
    "Connections, agents, tokens, triggers and the audit trail of one jira-gateway. "
    "Needs a gateway token with the scope admin, as bearer token or as the password of Basic authentication; "
    "for events the scope events is enough, with the trigger's connection among the token's."
)


def document(software: str) -> Schema:
    """Return the document; `software` is `jira-gateway/<version>`."""
    paths: defaultdict[str, Schema] = defaultdict(dict)
    refs, schemas = _schemas(ROUTES)
    for route in ROUTES:
        paths[ROOT + route.path][route.method.lower()] = _operation(route, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "jira-gateway management API",
            "version": software.partition("/")[2] or "0",
            "description": _DESCRIPTION,
        },
        "security": [{"bearer": []}, {"basic": []}],
        "paths": dict(paths),
        "components": {
            "schemas": schemas,
            "responses": _refusals(),
            "headers": _HEADERS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _schemas(routes: Iterable[Route]) -> tuple[dict[tuple[type[BaseModel], Mode], Schema], Schema]:
    """Return a reference for every model, and what they refer to."""
    inputs: list[tuple[type[BaseModel], Mode]] = [(route.body, "validation") for route in routes if route.body]
    answers = [route.answer for route in routes if route.answer]
    outputs: list[tuple[type[BaseModel], Mode]] = [(model, "serialization") for model in answers]
    everything = [*inputs, *outputs, (models.ProblemBody, "serialization")]
    once: list[Any] = list(dict.fromkeys(everything))
    refs, top = models_json_schema(once, ref_template="#/components/schemas/{model}")
    return {(model, mode): ref for (model, mode), ref in refs.items() if issubclass(model, BaseModel)}, top["$defs"]


def _operation(route: Route, refs: dict[tuple[type[BaseModel], Mode], Schema]) -> Schema:
    success: Schema = {"description": route.summary, "headers": _refs(_EVERYWHERE)}
    if route.answer is not None:
        success["content"] = {_JSON: {"schema": refs[route.answer, "serialization"]}} | _streamed(route)
    refusals = {
        str(status): {"$ref": f"#/components/responses/{_response_name(slugs)}"}
        for status, slugs in _refused(route).items()
    }
    operation: Schema = {
        "operationId": route.operation,
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": {str(route.status): success} | refusals,
    }
    if route.body is not None:
        schema = refs[route.body, "validation"]
        operation["requestBody"] = {"required": True, "content": {_JSON: {"schema": schema}}}
    return operation


def _streamed(route: Route) -> Schema:
    """Return the other form of an answer that lasts: server-sent events, for `Accept: text/event-stream`."""
    return {"text/event-stream": {"schema": {"type": "string"}}} if route.lasts else {}


def _refused(route: Route) -> dict[int, tuple[Slug, ...]]:
    """Return what a route may refuse with, by status."""
    by_status: defaultdict[int, list[Slug]] = defaultdict(list)
    unknown = (NOT_FOUND,) if route.parameters else ()
    for slug in dict.fromkeys((*USUAL, *unknown, *route.refuses)):
        by_status[slug.status].append(slug)
    return {status: tuple(slugs) for status, slugs in sorted(by_status.items())}


def _refusals() -> Schema:
    """Return every refusal there is, by its name in the document."""
    found = {slugs for route in ROUTES for slugs in _refused(route).values()}
    content = {_JSON: {"schema": {"$ref": f"#/components/schemas/{models.ProblemBody.__name__}"}}}
    headers = _refs(_EVERYWHERE + _REFUSAL)
    return {
        _response_name(slugs): {
            "description": " or ".join(slug.name for slug in slugs),
            "headers": headers,
            "content": content,
        }
        for slugs in sorted(found)
    }


def _response_name(slugs: tuple[Slug, ...]) -> str:
    return "-".join(slug.name for slug in slugs)


def _path_parameters(route: Route) -> list[Schema]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": f"^{PARAMETERS[name]}$"}}
        for name in route.parameters
    ]


def _query_parameters(route: Route) -> list[Schema]:
    if route.query is None:
        return []
    properties = route.query.model_json_schema()["properties"]
    return [
        {"name": name, "in": "query", "required": False, "description": schema.pop("description", ""), "schema": schema}
        for name, schema in properties.items()
    ]


def _header(description: str, **schema: Any) -> Schema:
    return {"description": description, "required": True, "schema": {"type": "string", **schema}}


_EVERYWHERE = ("X-Request-ID", "Server-Timing")
_REFUSAL = ("Tunnel-Error", "Tunnel-Source", "Tunnel-Processed")
_HEADERS = {
    "X-Request-ID": _header("the request's id, as in the gateway's log"),
    "Server-Timing": _header("where the time went"),
    "Tunnel-Error": _header("the slug of the refusal"),
    "Tunnel-Source": _header("who refused", enum=["gateway", "agent"]),
    "Tunnel-Processed": _header("whether it may have had an effect", enum=["no", "unknown"]),
}


def _refs(names: Iterable[str]) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
