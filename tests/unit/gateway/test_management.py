"""The document of the management API, what its models take, and how errors are told."""

import json
import re
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import ValidationError

from certs.errors import FileExists
from gateway.errors import INTERNAL, Processed
from gateway.front_door import LOCAL_PREFIX, is_local
from gateway.management import models, reports, trigger_models
from gateway.management.openapi import document
from gateway.management.problems import CONFLICT, STORE_UNAVAILABLE, declined, from_error
from gateway.management.routes import PARAMETERS, ROOT, ROUTES
from gateway.store import AlreadyExists, InUse, NotFound, Scope, StoreUnavailable
from gateway.unacceptable import Unacceptable
from http1.messages import NO_BODY, RequestHead
from runtime.exits import DENIED, UNAVAILABLE, USAGE, CommandFailed

PROJECT = Path(__file__).resolve().parents[3]
DOCUMENT = document("jira-gateway/1.2.3")


def references(value):
    if isinstance(value, dict):
        yield from [value["$ref"]] if "$ref" in value else []
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_every_route_is_in_the_document_once():
    described = {(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item}
    assert described == {(route.method, ROOT + route.path) for route in ROUTES}
    assert len(described) == len(ROUTES)
    operations = [route.operation for route in ROUTES]
    assert len(set(operations)) == len(operations)


def test_every_reference_leads_somewhere():
    found = set(references(DOCUMENT))
    assert len(found) > 30
    for reference in found:
        place = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
        assert place


def test_everything_that_can_be_refused_is_documented_for_every_route():
    for item in DOCUMENT["paths"].values():
        for operation in item.values():
            statuses = set(operation["responses"])
            assert {"400", "401", "403", "413", "429", "500", "503"} < statuses
            has_parameters = any(entry["in"] == "path" for entry in operation["parameters"])
            assert not has_parameters or "404" in statuses


def test_the_document_names_the_release_and_both_logins():
    assert DOCUMENT["info"]["version"] == "1.2.3"
    assert DOCUMENT["openapi"] == "3.1.0"
    assert {scheme["scheme"] for scheme in DOCUMENT["components"]["securitySchemes"].values()} == {"bearer", "basic"}
    assert json.loads(json.dumps(DOCUMENT)) == DOCUMENT


def test_every_parameter_of_a_path_has_a_form():
    assert {name for route in ROUTES for name in route.parameters} == set(PARAMETERS)


def test_only_what_is_asked_with_get_or_only_looks_may_leave_things_as_they_are():
    looking = {route.operation for route in ROUTES if not route.changes}
    assert {route.operation for route in ROUTES if route.method == "GET"} == looking - {"testConnection"}


def test_no_answer_has_a_place_for_a_secret_but_those_that_show_it_once():
    secret = re.compile("secret|password|hash|^token$|^code$|sealed|pem")
    shown = {
        (route.operation, field)
        for route in ROUTES
        if route.answer is not None
        for field in route.answer.model_fields
        if secret.search(field) and not field.startswith("has_")
    }
    assert shown == {
        ("inviteAgent", "code"),
        ("createToken", "token"),
        ("rotateToken", "token"),
        ("createTrigger", "secret"),
        ("rotateTrigger", "secret"),
    }


def test_the_manual_names_everything_that_can_be_asked():
    manual = (PROJECT / "docs" / "api.md").read_text(encoding="utf-8")
    for route in ROUTES:
        assert f"`{route.method} {route.path}`" in manual, f"docs/api.md says nothing of {route.method} {route.path}"


@pytest.mark.parametrize(
    ("model", "content"),
    [
        (models.NewConnection, {"name": "hq", "via": "hq"}),
        (models.NewConnection, {"name": "hq", "via": "hq", "credentials": "agent", "colour": "red"}),
        (models.NewConnection, {"name": "hq", "via": "hq", "credentials": "agent", "base_url": None}),
        (models.NewConnection, {"name": "hq", "via": "hq", "credentials": "agent", "timeout_seconds": "5"}),
        (models.NewConnection, {"name": "hq", "via": "hq", "credentials": "agent", "rewrite_links": "yes"}),
        (models.NewConnection, {"name": "hq\n", "via": "hq", "credentials": "agent"}),
        (models.ConnectionChange, {}),
        (models.ConnectionChange, {"name": "other"}),
        (models.NewToken, {"name": "ci", "scopes": []}),
        (models.NewToken, {"name": "ci", "scopes": ["root"]}),
        (models.NewToken, {"name": "ci", "rate": "fast"}),
        (models.NewToken, {"name": "ci", "rate": "0/s"}),
        (models.NewToken, {"name": "ci", "expires": "soon"}),
        (models.NewInvite, {"ttl": "1 hour"}),
        (models.Revocation, {"instance": "../x"}),
        (trigger_models.NewTrigger, {"name": "ci", "connection": "hq"}),
        (trigger_models.NewTrigger, {"name": "ci", "connection": "hq", "events": []}),
        (trigger_models.NewTrigger, {"name": "ci", "connection": "hq", "events": "jira:issue_created"}),
        (trigger_models.NewTrigger, {"name": "ci", "connection": "hq", "events": ["x"], "kind": "pushed"}),
        (trigger_models.NewTrigger, {"name": "ci", "connection": "hq", "events": ["x"], "poll_seconds": 3601}),
        (trigger_models.NewTrigger, {"name": "ci", "connection": "hq", "events": ["x"], "jql": ""}),
        (trigger_models.Replaying, {}),
        (trigger_models.Replaying, {"ids": []}),
        (trigger_models.Replaying, {"ids": ["evt_1"]}),
        (trigger_models.Replaying, {"ids": [1]}),
        (trigger_models.SecretRotation, {"overlap": "a day"}),
    ],
)
def test_a_body_that_does_not_fit_is_refused(model, content):
    with pytest.raises(ValidationError):
        model.model_validate_json(json.dumps(content))


@pytest.mark.parametrize(
    ("model", "content"),
    [
        (models.AuditQuery, {"limit": "1001"}),
        (models.AuditQuery, {"after": "-1"}),
        (models.AuditQuery, {"after": "1.0"}),
        (models.AuditQuery, {"after": " 1"}),
        (models.AuditQuery, {"after": "\u0661"}),
        (models.RemoveQuery, {"force": "yes"}),
        (models.RemoveQuery, {"force": ""}),
        (models.VerifyQuery, {"head": "1:abc"}),
        (trigger_models.EventQuery, {"wait": "61"}),
        (trigger_models.EventQuery, {"wait": "0.5"}),
        (trigger_models.EventQuery, {"limit": "201"}),
        (trigger_models.EventQuery, {"after": "-1"}),
        (trigger_models.EventQuery, {"state": "dead,"}),
        (trigger_models.EventQuery, {"state": "lost"}),
        (reports.PermissionQuery, {"project": "OPS/../x"}),
        (reports.PermissionQuery, {"need": "A,,B"}),
    ],
)
def test_a_query_that_does_not_fit_is_refused(model, content):
    with pytest.raises(ValidationError):
        model.model_validate(content)


def test_events_are_read_by_a_scope_of_their_own_and_everything_else_is_administration():
    assert {(route.operation, route.scope) for route in ROUTES if route.scope is not Scope.ADMIN} == {
        ("readEvents", Scope.EVENTS)
    }


def test_the_document_shows_both_forms_of_events():
    content = DOCUMENT["paths"]["/api/v1/triggers/{name}/events"]["get"]["responses"]["200"]["content"]
    assert set(content) == {"application/json", "text/event-stream"}


def test_a_change_remembers_what_was_given():
    change = models.ConnectionChange.model_validate_json('{"rewrite_links": false, "secret": "hunter2"}')
    assert change.model_fields_set == {"rewrite_links", "secret"}
    assert "hunter2" not in repr(change)


@pytest.mark.parametrize(
    ("error", "slug", "status"),
    [
        (Unacceptable("via", "{via} is odd"), "bad_request", 400),
        (NotFound("agent", "hq"), "not_found", 404),
        (AlreadyExists("token", "ci"), "conflict", 409),
        (InUse("connection", "hq", ("ci",)), "conflict", 409),
        (CommandFailed("no", DENIED), "conflict", 409),
        (CommandFailed("no", UNAVAILABLE), "conflict", 409),
        (CommandFailed("no", USAGE), "bad_request", 400),
        (FileExists(Path("ca.key")), "conflict", 409),
        (StoreUnavailable("gateway.db", "disk full"), "store_unavailable", 503),
        (TimeoutError(), "store_unavailable", 503),
        (web.HTTPNotFound(), "not_found", 404),
        (web.HTTPMethodNotAllowed("PUT", ["GET"]), "method_not_allowed", 405),
        (web.HTTPRequestEntityTooLarge(1, 2), "body_too_large", 413),
        (declined(CONFLICT, "no"), "conflict", 409),
        (KeyError("bug"), "internal", 500),
    ],
)
def test_every_error_is_told_in_the_one_format(error, slug, status):
    problem = from_error(error).problem
    assert (problem.slug.name, problem.slug.status) == (slug, status)
    assert problem.message.endswith(".") or slug == "conflict"


def test_a_bug_tells_nothing_of_itself():
    problem = from_error(KeyError("password")).problem
    assert problem.slug is INTERNAL
    assert problem.processed is Processed.UNKNOWN
    assert "password" not in problem.message


def test_a_store_that_fails_asks_for_another_try():
    assert STORE_UNAVAILABLE.retry_after
    assert "disk" not in from_error(StoreUnavailable("gateway.db", "disk full")).problem.message


@pytest.mark.parametrize(
    ("target", "host", "domain", "expected"),
    [
        (b"/api/v1/tokens", b"gw.example", b"", True),
        (b"/api/v1/tokens", b"gw.example", b"gw.example", True),
        (b"/api/v1/tokens", b"hq.gw.example", b"gw.example", False),
        (b"/api", b"gw.example", b"", False),
        (b"/apis/", b"gw.example", b"", False),
        (b"/jira/hq/api/", b"gw.example", b"", False),
    ],
)
def test_what_is_ours_and_what_is_a_jiras(target, host, domain, expected):
    request = RequestHead(b"GET", target, [], NO_BODY, host=host)
    assert is_local(request, domain, LOCAL_PREFIX) is expected
