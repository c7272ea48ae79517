"""The description of the API is valid, and true."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Route

from tests.web.nodes import Node
from tocsin.web.openapi import describe

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from hypothesis import HealthCheck, Phase, settings
    from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance


def _node() -> Node:
    node = Node(wait_slots=0)
    node.happen("service.failed", "service.started")
    return node


NODE = _node()
SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", NODE.app, headers={"host": "node1"})


def test_it_is_openapi() -> None:
    """The document is valid OpenAPI 3.1."""
    OpenAPIV31SpecValidator(describe()).validate()


def test_every_route_is_described() -> None:
    """What the router serves and what the document says are the same."""
    served = {("/api/v1/events", "get"), ("/api/v1/events/resume", "post")}
    for route in Node().app._router.routes:
        if isinstance(route, Route) and (route.path.startswith("/api/") or route.path.count("/") == 1):
            served |= {(route.path, method.lower()) for method in (route.methods or set()) - {"HEAD"}}
    described = {(path, method) for path, item in describe()["paths"].items() for method in item}

    assert described <= served
    assert {(path, method) for path, method in served if path.startswith("/api/")} <= described


@pytest.mark.slow
@SCHEMA.parametrize()
@settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
def test_no_request_breaks_it(case: schemathesis.Case[Any]) -> None:
    """Whatever schemathesis thinks of is answered as the document says, never with a 500.

    What it takes for valid may be refused: that two parameters exclude each other no schema can say.
    """
    case.call_and_validate(
        headers={"host": "node1"}, excluded_checks=[ignored_auth, positive_data_acceptance]
    )
