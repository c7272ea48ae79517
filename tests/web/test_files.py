"""The files of the page as they are served: small, compressed, sent once; and how scripts are shortened."""

from __future__ import annotations

import gzip
import re

import httpx
import pytest

from tests.web.nodes import Node, client
from tocsin.web.files import file
from tocsin.web.scripts import bundled, shortened


async def get(name: str, **headers: str) -> httpx.Response:
    """Asks a node for a file."""
    async with client(Node()) as http:
        return await http.get(f"/static/{name}", headers=headers)


async def bytes_on_the_wire(name: str) -> int:
    """The size of the body of a file as a browser gets it, which accepts gzip."""
    async with (
        client(Node()) as http,
        http.stream("GET", f"/static/{name}", headers={"accept-encoding": "gzip, br"}) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-encoding"] == "gzip"
        return len(b"".join([part async for part in answer.aiter_raw()]))


async def modules(name: str) -> set[str]:
    """A module and all that it imports, as a browser follows them."""
    found = {name}
    for other in re.findall(r"""\bfrom\s*['"]\./([\w.-]+)['"]""", (await get(name)).text):
        found |= await modules(other)
    return found


async def test_what_makes_a_page_live_is_small() -> None:
    """Monitor, frames and morph, as a browser gets them, are at most 10 KB; an embedding page adds little."""
    live = await modules("monitor.js") | await modules("live-frame.js")
    assert {"monitor.js", "live-frame.js"} == live
    sizes = {name: await bytes_on_the_wire(name) for name in live | {"embed.js", "page.js", "tocsin.css"}}
    assert sum(sizes[name] for name in live) <= 10 * 1024, sizes
    assert live | {"embed.js"} == await modules("embed.js")
    assert sizes["embed.js"] <= 1024, sizes
    assert live | {"page.js"} == await modules("page.js")
    assert sum(sizes.values()) <= 20 * 1024, sizes


async def test_compressed_or_plain_it_is_the_same() -> None:
    """A reader that accepts no gzip gets the same file, and a cache is told that this matters."""
    zipped = await get("monitor.js", **{"accept-encoding": "gzip"})
    for accepted in ("", "identity", "br", "gzip;q=0, br", "gzip; q=0.0"):
        plain = await get("monitor.js", **{"accept-encoding": accepted})
        assert "content-encoding" not in plain.headers, accepted
        assert plain.text == zipped.text
        assert plain.headers["etag"] == zipped.headers["etag"]
        assert plain.headers["vary"] == zipped.headers["vary"] == "Accept-Encoding, Origin"
    assert "gzip" == zipped.headers["content-encoding"]
    assert zipped.headers["content-type"] == "text/javascript; charset=utf-8"


async def test_asked_again_it_is_not_sent_again() -> None:
    """A browser that has the file is answered 304 without a body; with another version it gets the file."""
    first = await get("tocsin.css")
    again = await get("tocsin.css", **{"if-none-match": f'"x", {first.headers["etag"]}'})
    assert (304, b"") == (again.status_code, again.content)
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["cache-control"] == first.headers["cache-control"] == "no-cache"
    assert 200 == (await get("tocsin.css", **{"if-none-match": '"x"'})).status_code


@pytest.mark.parametrize("name", ["", "nothing.js", ".", "follow.js/x", "app.py", "%2e%2e%2fapp.py"])
async def test_other_names_are_not_there(name: str) -> None:
    """Only the files of the page are served."""
    assert 404 == (await get(name)).status_code


def test_both_forms_of_a_file() -> None:
    """The compressed form is the plain one, compressed."""
    for name in ("page.js", "icon-ok.svg"):
        assert gzip.decompress(file(name).gzipped) == file(name).plain


SHORT = [
    ("a = 1; // one\nb = 2;\n", "a=1;b=2;"),
    ("a /* x */ + /* y */ b", "a+b"),
    ("a\nb", "a\nb"),
    ("a /* x\n */ b", "a\nb"),
    ("return a", "return a"),
    ("return /a/.test(b)", "return/a/.test(b)"),
    ("return\na", "return\na"),
    ("a + +b - -c + ++d", "a+ +b- -c+ ++d"),
    ("a\n++b", "a\n++b"),
    ("a++\nb", "a++\nb"),
    ("x = a / b / c; // d", "x=a/b/c;"),
    ("x = a / /b/g", "x=a/ /b/g"),
    ("x = y.replace(/\\/\\/[/'\"`]/g, '// no')", "x=y.replace(/\\/\\/[/'\"`]/g,'// no')"),
    ("(a + b) / c", "(a+b)/c"),
    ("a[0] / 2 // half", "a[0]/2"),
    ("'a // b' + \"it's /* c */\"", "'a // b'+\"it's /* c */\""),
    ("'\\' // b'", "'\\' // b'"),
    ("`a // ${ b /* c */ + `d ${ { e: 1 }.e } // ` } /* f */`", "`a // ${b+`d ${{e:1}.e} // `} /* f */`"),
    ("`\\`${ a }$ {b}`", "`\\`${a}$ {b}`"),
    ("1 .toFixed() + .5 + 1.5e-3", "1 .toFixed()+.5+1.5e-3"),
    ("x => ({ a: 1 })", "x=>({a:1})"),
    (
        "class A {\n  #long = 1;\n  b() { return #long in x; }\n}\nf()",
        "class A{#a=1;b(){return #a in x;}}\nf()",
    ),
    ("class A { #one; #two = this.#one; }", "class A{#a;#b=this.#a;}"),
    ("a\n  ?.b\n  .c()", "a?.b.c()"),
    ("a\n(b)", "a\n(b)"),
    ("async () => await  x in y", "async()=>await x in y"),
]


@pytest.mark.parametrize(("source", "short"), SHORT, ids=[source[:30] for source, _ in SHORT])
def test_shortened(source: str, short: str) -> None:
    """Comments and needless blanks go; what looks like one inside a text stays; no two tokens become one."""
    assert short + "\n" == shortened(source)
    assert short + "\n" == shortened(shortened(source))


@pytest.mark.parametrize("source", ["'a", "`a", "`a ${b", "a = /b", "a \\ b"])
def test_what_cannot_be_read_is_refused(source: str) -> None:
    """A script that is not understood is not served in a form that nobody wrote."""
    with pytest.raises(ValueError, match=r"cannot be read|does not end"):
        shortened(source)


def test_bundled() -> None:
    """A module inside another keeps its names for itself; others are imported as before."""
    files = {
        "a.js": "import { b, B } from './b.js';\nimport { c } from './c.js';\nexport const a = b + c;",
        "b.js": "const c = 1, own = 'export class x';\nexport const b = c + own;\nexport class B {}\n",
    }
    text = bundled("a.js", frozenset({"b.js"}), files.__getitem__)
    assert (
        "const{b,B}=(()=>{const c=1,own='export class x';const b=c+own;class B{}\nreturn{b,B}})();"
        "import{c}from'./c.js';export const a=b+c;\n"
    ) == text
    files["b.js"] = "export const other = 1;"
    with pytest.raises(ValueError, match=r"b\.js exports nothing that is called B, b"):
        bundled("a.js", frozenset({"b.js"}), files.__getitem__)
