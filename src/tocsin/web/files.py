"""The files of the page: scripts, style, icons; read from the package when they are first asked for.

Scripts are shortened, and modules that only one other uses come inside of it (see scripts.py): what a page
needs to be live is two requests and less than 10 KB. A browser keeps the files and asks each time whether
they are still the same: an upgraded node is never looked at with the scripts of its predecessor.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Final

from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tocsin.web.scripts import bundled

__all__ = ["File", "file", "route"]

_DIRECTORY: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
#: Modules that come inside the only one that imports them.
_INLINE: Final = frozenset({"follow.js", "morph.js"})
_NO_GZIP: Final = re.compile(r"\bgzip\s*;\s*q=0(?:\.0*)?\s*(?:,|$)")


class File(Struct, frozen=True):
    """A file as it is served."""

    media_type: str
    #: A weak entity tag: the same for both forms.
    tag: str
    plain: bytes
    gzipped: bytes


def route() -> Route:
    """The route of all files."""
    return Route("/static/{name}", _answer)


@cache
def file(name: str) -> File:
    """The file of this name. Raises :exc:`KeyError` where there is none."""
    if name not in _names():
        raise KeyError(name)
    if name.endswith(".js"):
        body = bundled(name, _INLINE, lambda module: (_DIRECTORY / module).read_text("utf-8")).encode()
    else:
        body = (_DIRECTORY / name).read_bytes()
    tag = f'W/"{hashlib.sha256(body).hexdigest()[:24]}"'
    return File(_TYPES[Path(name).suffix], tag, body, gzip.compress(body, 9, mtime=0))


@cache
def _names() -> frozenset[str]:
    return frozenset(path.name for path in _DIRECTORY.iterdir() if path.suffix in _TYPES)


async def _answer(request: Request) -> Response:
    try:
        found = file(request.path_params["name"])
    except KeyError:
        raise HTTPException(404) from None
    headers = {"etag": found.tag, "vary": "Accept-Encoding, Origin"}
    known = {tag.strip() for tag in request.headers.get("if-none-match", "").split(",")}
    if found.tag in known:
        return Response(status_code=304, headers=headers)
    accepted = request.headers.get("accept-encoding", "")
    body = found.plain
    if "gzip" in accepted and not _NO_GZIP.search(accepted):
        headers["content-encoding"], body = "gzip", found.gzipped
    return Response(body, headers=headers, media_type=found.media_type)
