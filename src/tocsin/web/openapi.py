"""The description of the API as an OpenAPI 3.1 document."""

from __future__ import annotations

from typing import Any, Final

import tocsin
from tocsin.web.cloudevents import MAX_EVENTS
from tocsin.web.node import MAX_WAIT
from tocsin.web.problems import PROBLEMS
from tocsin.web.query import DEFAULT_LIMIT, MAX_LIMIT

__all__ = ["describe"]

_SEQUENCE: Final = r"^[0-9]{13}-[0-9]{12}$"
_TEXT: Final = {"type": "string"}
_HEADERS: Final = {
    "Tocsin-Cursor": {"description": "Where the reader is now.", "schema": _TEXT},
    "Tocsin-Poll": {"description": "How to come back: interval=SECONDS, wait=SECONDS.", "schema": _TEXT},
}


def describe() -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tocsin",
            "version": tocsin.__version__,
            "summary": "What happens on a cluster: a feed that never misses and never repeats.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/api/v1/events": {"get": _feed(), "post": _publish()},
            "/api/v1/events/resume": {"post": _resume()},
            "/api/v1/board": {"get": _get("board", "Every resource and its status", _ref("Board"), 503)},
            "/api/v1/nodes/{name}/forget": {"post": _forget()},
            "/metrics": {"get": _text("metrics", "Counters", "application/openmetrics-text")},
            "/livez": {"get": _text("livez", "Whether the agent runs", "text/plain")},
            "/readyz": {"get": _text("readyz", "Whether the feed answers", "text/plain", 503)},
            "/openapi.json": {"get": _get("openapi", "This document", {"type": "object"})},
        },
        "components": {"schemas": _schemas()},
    }


# -- operations --------------------------------------------------------------------------------


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: Any, description: str, media: str = "application/json") -> dict[str, Any]:
    return {"description": description, "content": {media: {"schema": schema}}}


def _problems(*statuses: int) -> dict[str, Any]:
    found = {}
    for status in (*statuses, 400, 421):
        titles = [title for code, title in PROBLEMS.values() if code == status]
        schema = _ref("Gap" if status == 410 else "Problem")
        found[str(status)] = _json(schema, "; or: ".join(titles), "application/problem+json")
    return found


def _get(name: str, summary: str, schema: Any, *problems: int) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": _json(schema, summary), **_problems(*problems)},
    }


def _text(name: str, summary: str, media: str, *problems: int) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": _json(_TEXT, summary, media), **_problems(*problems)},
    }


def _parameter(name: str, schema: dict[str, Any], description: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": description, **more}


def _answers() -> dict[str, Any]:
    return {
        "200": {
            "description": "Events; maybe none, where a filter hid them.",
            "headers": _HEADERS,
            "content": {
                "application/json": {"schema": _ref("Events")},
                "application/cloudevents-batch+json": {"schema": {"type": "array", "items": _ref("Event")}},
                "text/event-stream": {"schema": _TEXT},
            },
        },
        "204": {"description": "Nothing new.", "headers": _HEADERS},
        **_problems(410, 503),
    }


def _feed() -> dict[str, Any]:
    seconds = {"type": "number", "minimum": 0}
    on = {"type": "array", "items": {"type": "string", "maxLength": 2048}, "maxItems": 1000}
    limit = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
    return {
        "operationId": "events",
        "summary": "What happened after a cursor",
        "parameters": [
            _parameter("after", _TEXT, "A cursor; without it: now, and no events; 0: all that is held."),
            _parameter("on", on, "Interests, type@node:subject.", explode=True),
            _parameter("limit", limit, "Events in one answer."),
            _parameter("wait", {**seconds, "maximum": MAX_WAIT}, "Seconds to hold the answer until news."),
            _parameter("view", {"enum": ["full", "brief"]}, "brief: what a page needs to decide."),
            _parameter("seen", {"enum": ["full"]}, "full: of all origins."),
            _parameter("since", {**seconds, "maximum": 10**9}, "Events of the last seconds; not with after."),
        ],
        "responses": _answers(),
    }


def _resume() -> dict[str, Any]:
    body = {"required": True, "content": {"application/json": {"schema": _ref("Resume")}}}
    answers = _answers()
    answers["200"] = {**answers["200"], "content": {"application/json": {"schema": _ref("Events")}}}
    return {
        "operationId": "resume",
        "summary": "Go on after another node, or another life of this one",
        "requestBody": body,
        "responses": {**answers, **_problems(403, 408, 413, 415)},
    }


def _publish() -> dict[str, Any]:
    batch = {"type": "array", "items": _ref("Draft"), "description": f"At most {MAX_EVENTS} events."}
    content = {
        "application/cloudevents+json": {"schema": _ref("Draft")},
        "application/cloudevents-batch+json": {"schema": batch},
    }
    return {
        "operationId": "publish",
        "summary": "Publish events; all are taken or none",
        "requestBody": {"required": True, "content": content},
        "responses": {
            "202": _json(_ref("Published"), "Taken."),
            **_problems(403, 408, 413, 415, 503),
        },
    }


def _forget() -> dict[str, Any]:
    name = {"name": "name", "in": "path", "required": True, "schema": _TEXT}
    content = {"application/json": {"schema": {"type": "object"}}}
    done = {"type": "object", "properties": {"forgotten": _TEXT}, "required": ["forgotten"]}
    return {
        "operationId": "forget",
        "summary": "Remove the name of a node that is gone for good",
        "parameters": [name],
        "requestBody": {"required": True, "content": content},
        "responses": {"200": _json(done, "Removed."), **_problems(403, 404, 408, 409, 413, 415, 503)},
    }


# -- schemas -----------------------------------------------------------------------------------


def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required.split()}


def _schemas() -> dict[str, Any]:
    sequence = {"type": "string", "pattern": _SEQUENCE}
    seen = {"type": "object", "additionalProperties": sequence}
    whole = {"type": "integer", "minimum": 0}
    texts = {"type": "array", "items": _TEXT}
    pair = {"type": "array", "items": sequence, "minItems": 2, "maxItems": 2}
    maybe = {"type": ["string", "null"]}
    window = {"first": whole, "last": whole, "from": maybe, "to": maybe, "retain": {"type": "number"}}
    origins = {**texts, "description": "The nodes whose events the buffer keeps; left out: all."}
    nodes = {
        "type": "object",
        "additionalProperties": _TEXT,
        "description": "421: URLs of nodes that keep all events.",
    }
    problem = {"type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT}
    reasons = {"enum": ["evicted", "replica", "restarted", "foreign", "future"]}
    event = dict.fromkeys(("type", "node", "subject", "severity", "origin"), _TEXT)
    required = {name: {"type": "string", "minLength": 1} for name in ("id", "source", "type")}
    on = {"oneOf": [_TEXT, {**texts, "maxItems": 1000}]}
    resource = dict.fromkeys(("node", "kind", "subject", "status", "summary"), _TEXT)
    return {
        "Event": _object(
            "number type node severity origin sequence", number=whole, sequence=sequence, **event
        ),
        "Draft": _object("specversion id source type", specversion={"const": "1.0"}, **required),
        "Window": _object("first last from to retain", **window, origins=origins),
        "Events": _object(
            "buffer node cursor seen more window degraded events",
            buffer=_TEXT,
            node=_TEXT,
            cursor=_TEXT,
            seen=seen,
            more={"type": "boolean"},
            window=_ref("Window"),
            degraded=texts,
            events={"type": "array", "items": _ref("Event")},
        ),
        "Problem": _object("type title status detail", **problem, nodes=nodes, origins=origins),
        "Gap": _object(
            "type title status detail reason lost cursor seen window",
            **problem,
            reason=reasons,
            lost={"type": "object", "additionalProperties": pair},
            cursor=_TEXT,
            seen=seen,
            window=_ref("Window"),
        ),
        "Resume": {
            **_object(
                "",
                after=_TEXT,
                seen=seen,
                on=on,
                limit={"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
                view={"enum": ["full", "brief"]},
            ),
            "additionalProperties": False,
        },
        "Published": _object(
            "sequences origin", sequences={"type": "array", "items": sequence}, origin=_TEXT
        ),
        "Resource": _object("node kind subject status", **resource),
        "Board": _object(
            "cluster node cursor seen degraded resources",
            cluster=_TEXT,
            node=_TEXT,
            cursor=maybe,
            seen=seen,
            degraded=texts,
            resources={"type": "array", "items": _ref("Resource")},
        ),
    }
