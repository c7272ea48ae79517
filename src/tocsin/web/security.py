"""Who may ask: names of this node against DNS rebinding, origins of pages, headers of every answer.

Browsers attach a page's rights to its origin. A page of another site must neither read here (CORS, an
exact list) nor change anything (cross-site posts are refused), nor reach this node under a name of its
own (only known names are served). The pages of the cluster's other nodes are one application with ours.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from tocsin.web.asgi import Scope
from tocsin.web.node import Node
from tocsin.web.problems import Problem

__all__ = ["Guard", "Visit"]

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
#: What pollers accept who want JSON.
_PLAIN: Final = frozenset({b"*/*", b"application/json"})
#: Headers by which a request is not like the one before, or not whole.
_SPECIAL: Final = frozenset(
    {b"origin", b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"last-event-id", b"range"}
)
#: POST, but it changes nothing: configured origins may use it as well.
_RESUME: Final = "/api/v1/events/resume"
_MAX_NAMES: Final = 1024
#: Seconds for which the URLs of the cluster's nodes are taken as known.
_FRESH: Final = 1.0

_API_POLICY: Final = b"default-src 'none'; frame-ancestors 'none'"
_COMMON: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


class Visit(NamedTuple):
    """What the headers of an admitted request say."""

    #: The headers that let a page of another origin read the answer.
    cors: tuple[tuple[bytes, bytes], ...]
    accept: bytes
    last_event_id: str
    #: The answer to a browser that asks beforehand; None for an ordinary request.
    preflight: tuple[tuple[bytes, bytes], ...] | None = None


class Guard:
    """Admits requests."""

    def __init__(self, node: Node) -> None:
        self._node = node
        names = {"localhost", node.name, socket.gethostname(), *node.settings.hosts}
        self._names = frozenset(name.lower().rstrip(".") for name in names)
        self._known: dict[tuple[bytes, str], bool] = {}
        self._urls: dict[str, str] = {}
        self._urls_at = float("-inf")
        self._policy = b""

    def admit(self, scope: Scope) -> Visit:
        """Looks at the headers of a request once. Raises :exc:`Problem`: 421 or 403."""
        host = origin = site = None
        accept = last_id = asks = b""
        for name, value in scope["headers"]:
            if name == b"host":
                if host is not None:
                    raise Problem("unknown-host", "there are two Host headers")
                host = value
            elif name == b"accept":
                accept = value
            elif name == b"origin":
                origin = value
            elif name == b"sec-fetch-site":
                site = value
            elif name == b"last-event-id":
                last_id = value
            elif name == b"access-control-request-method":
                asks = value
        self._check_host(host, scope)
        cors = self._cors(origin) if origin is not None else ()
        method = scope["method"]
        if method not in _SAFE:
            self._check_site(scope, host or b"", origin, site, bool(cors))
        preflight = self._preflight(cors) if asks and method == "OPTIONS" and origin is not None else None
        return Visit(cors, accept, last_id.decode("latin-1") if last_id else "", preflight)

    def is_plain(self, scope: Scope) -> bool:
        """Whether a GET is so plain that :meth:`admit` would find nothing to say: the usual poll."""
        headers = dict(scope["headers"])
        server = scope.get("server")
        return (
            len(headers) == len(scope["headers"])  # no header is there twice
            and headers.get(b"accept", b"*/*") in _PLAIN
            and headers.get(b"connection", b"keep-alive").lower() == b"keep-alive"
            and _SPECIAL.isdisjoint(headers)
            and self._known.get((headers.get(b"host", b""), server[0] if server else ""), False)
        )

    # -- names ---------------------------------------------------------------------------------

    def _check_host(self, host: bytes | None, scope: Scope) -> None:
        server = scope.get("server")
        local = server[0] if server else ""
        key = (host or b"", local)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _MAX_NAMES:
                self._known.clear()
            known = self._known[key] = self._is_known(key[0].decode("latin-1"), local)
        if not known:
            raise Problem(
                "unknown-host",
                f"{self._node.name} is not known as {key[0].decode('latin-1')[:80]!r}; "
                "further names are set by feed.hosts",
            )

    def _is_known(self, host: str, local: str) -> bool:
        name, port = _split(host)
        if port is None:
            return False
        own = urlsplit(self._node.urls().get(self._node.name, "")).hostname
        if name in self._names or (own is not None and name == own):
            return True
        # An address is no name that somebody else could point here; it must be the one that was reached.
        try:
            return ip_address(name) == ip_address(local)
        except ValueError:
            return False

    # -- origins -------------------------------------------------------------------------------

    def _cluster(self) -> dict[str, str]:
        now = self._node.now()
        if now - self._urls_at >= _FRESH:
            urls = self._node.urls()
            if urls != self._urls:
                self._known.clear()
                self._policy = b""
            self._urls, self._urls_at = urls, now
        return self._urls

    def _of_cluster(self, origin: str) -> bool:
        origins = {origin_of(url) for url in self._cluster().values()}
        # A cluster on loopback addresses is opened as localhost just as well.
        return origin in origins or origin.replace("://localhost:", "://127.0.0.1:", 1) in origins

    def _cors(self, origin: bytes) -> tuple[tuple[bytes, bytes], ...]:
        text = origin.decode("latin-1")
        if text not in self._node.settings.cors_origins and not self._of_cluster(text):
            return ()
        return (
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", b"tocsin-cursor, tocsin-poll"),
        )

    def _preflight(self, cors: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[bytes, bytes], ...]:
        if not cors:
            raise Problem("cross-site", "pages of this origin may not read here; see feed.cors_origins")
        return (
            cors[0],
            (b"access-control-allow-methods", b"GET, POST"),
            (b"access-control-allow-headers", b"content-type, if-none-match, last-event-id"),
            (b"access-control-max-age", b"600"),
            (b"vary", b"origin"),
        )

    def _check_site(
        self, scope: Scope, host: bytes, origin: bytes | None, site: bytes | None, listed: bool
    ) -> None:
        """Refuses what a page of another site had a browser post."""
        if origin is not None:
            text = origin.decode("latin-1")
            if urlsplit(text).netloc.lower() == host.decode("latin-1").lower() or self._of_cluster(text):
                return
            if listed and scope["path"] == _RESUME:
                return
        elif site is None or site in {b"same-origin", b"none"}:
            return
        raise Problem("cross-site", "only pages of this cluster may post here")

    # -- headers of answers --------------------------------------------------------------------

    def headers(self, path: str, names: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
        """The headers that an answer to ``path`` still lacks; ``names`` are those that it has."""
        given = set(names)
        static = path.startswith("/static/")
        api = path.startswith("/api/") or path in {"/metrics", "/livez", "/readyz", "/openapi.json"}
        wanted = [
            *_COMMON,
            (b"content-security-policy", _API_POLICY if api or static else self._page_policy()),
            # After a failover a page goes on with the files of another node.
            (b"cross-origin-resource-policy", b"cross-origin" if static else b"same-origin"),
            (b"cache-control", b"no-cache" if static else b"no-store"),
        ]
        return [(name, value) for name, value in wanted if name not in given]

    def _page_policy(self) -> bytes:
        urls = self._cluster()
        if not self._policy:
            nodes = " ".join(sorted({origin_of(url) for url in urls.values()}))
            self._policy = (
                f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' {nodes}; "
                f"connect-src 'self' {nodes}; base-uri 'self' {nodes}; form-action 'self'; "
                "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types tocsin"
            ).encode("latin-1", "replace")
        return self._policy


def _split(host: str) -> tuple[str, int | None]:
    """The name, in lower case, and the port of a Host header; the port is None where it is none at all."""
    name, bracket, rest = host.partition("]")
    if host.startswith("["):
        name, port = name[1:], rest.removeprefix(":")
        if not bracket or (rest and not rest.startswith(":")):
            return "", None
    else:
        name, colon, port = host.partition(":")
        if colon and not port:
            return "", None
    if port and not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        return "", None
    return (name.lower().rstrip("."), int(port or 80)) if name else ("", None)


def origin_of(url: str) -> str:
    """The origin of a URL as a browser writes it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
