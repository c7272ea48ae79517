"""What a browser needs of a script: the same tokens without comments and needless blanks, in few files.

Our scripts explain themselves, half of their bytes are comments; readers of a page should not pay for
that, and installing Tocsin needs neither a build step nor Node. So they are shortened when they are
served. Strings, templates, regular expressions and all names but private ones (``#name``, which nobody
outside of their class can use) stay as they are written; a line break stays wherever JavaScript might
end a statement at it.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

__all__ = ["bundled", "shortened"]


class _Token(NamedTuple):
    kind: str
    text: str


_TOKEN: Final = re.compile(
    r"""
    (?P<blank> (?: \s | //[^\n]* | /\*.*?\*/ )+ )
  | (?P<number> 0[xXbBoO]\w+ | (?: \d[\d_]*\.?[\d_]* | \.\d[\d_]* ) (?: [eE][+-]?\d+ )? n? )
  | (?P<word> [\#@]?[\w$]+ )
  | (?P<string> '(?: [^'\\\n] | \\. )*' | "(?: [^"\\\n] | \\. )*" )
  | (?P<sign> \+\+ | -- | => | [^\s\w$'"`\\] )
    """,
    re.VERBOSE | re.DOTALL,
)
_REGEX: Final = re.compile(r"/(?![*/])(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*")
#: A piece of a template, from its ` or from the } of a substitution, up to its ` or the next ${.
_TEMPLATE: Final = re.compile(r"[`}](?:[^`\\$]|\\.|\$(?!\{))*(?:`|\$\{)", re.DOTALL)
#: After these words a slash begins a regular expression: no value stands before it.
_NO_VALUE: Final = frozenset(
    ("await", "case", "delete", "do", "else", "in", "instanceof", "new", "of", "return", "throw", "typeof")
) | {"void", "yield"}
#: Signs after, and before, which a line break ends no statement.
_GOES_ON_AFTER: Final = frozenset("{([,;:?=&|+-*/%<>!~^.") | {"=>"}
_GOES_ON_BEFORE: Final = frozenset("})],;:?.=&|%^")
#: As statements of a shortened module look.
_IMPORT: Final = re.compile(r"(?:(?<=[;}])|^)import(\{[\w,$]+\})from'\./([\w-]+\.js)';", re.MULTILINE)
_EXPORT: Final = re.compile(
    r"(?:(?<=[;}])|^)export (?=(?:async )?(?:class|const|function) ([\w$]+))", re.MULTILINE
)
_LETTERS: Final = string.ascii_letters


def bundled(name: str, inline: frozenset[str], read: Callable[[str], str]) -> str:
    """The module ``name``, shortened, with the modules of ``inline`` that it imports inside of it.

    A module inside keeps its names for itself but for those that are imported. ``read`` gives the
    source of a module by its name. Raises :exc:`ValueError` where a module cannot be read.
    """

    def inside(found: re.Match[str]) -> str:
        if found[2] not in inline:
            return found[0]
        text, wanted = bundled(found[2], inline, read), found[1]
        missing = set(wanted[1:-1].split(",")) - set(_EXPORT.findall(text))
        if missing:
            raise ValueError(f"{found[2]} exports nothing that is called {', '.join(sorted(missing))}")
        return f"const{wanted}=(()=>{{{_EXPORT.sub('', text)}return{wanted}}})();"

    return _IMPORT.sub(inside, shortened(read(name)))


def shortened(source: str) -> str:
    """A module without comments and needless blanks, its private names of one letter where that is enough.

    Raises :exc:`ValueError` where it cannot be read. It knows what these scripts use, not all of
    JavaScript: a regular expression right after ``)`` or ``}`` is taken for a division.
    """
    tokens = list(_tokens(source))
    private = Counter(token.text for token in tokens if token.kind == "word" and token.text[0] == "#")
    short = {name: f"#{_letters(rank)}" for rank, (name, _) in enumerate(private.most_common())}
    out: list[str] = []
    last, gap = _Token("sign", ";"), ""
    for token in tokens:
        if token.kind == "blank":
            gap = token.text
            continue
        if out and gap:
            out.append(_between(last, token, gap))
        out.append(short.get(token.text, token.text) if token.kind == "word" else token.text)
        last, gap = token, ""
    return "".join(out) + "\n"


def _letters(rank: int) -> str:
    more, last = divmod(rank, len(_LETTERS))
    return (_letters(more - 1) if more else "") + _LETTERS[last]


def _between(last: _Token, token: _Token, gap: str) -> str:
    """What has to stay of the blanks and comments between two tokens."""
    if "\n" in gap:
        goes_on = last.kind == "sign" and last.text in _GOES_ON_AFTER
        goes_on = goes_on or (token.kind == "sign" and token.text in _GOES_ON_BEFORE)
        if not goes_on:
            return "\n"
    before, after = last.text[-1], token.text[0]
    if _wordy(before) and (_wordy(after) or after in "#@\\"):
        return " "
    if (before == after and before in "+-/") or (last.kind == "number" and after == "."):
        return " "
    return ""


def _wordy(char: str) -> bool:
    return char.isalnum() or char in "_$"


def _tokens(source: str) -> Iterator[_Token]:
    at, last = 0, _Token("sign", ";")
    #: For each template that is open, the braces that are open in its substitution.
    braces: list[int] = []
    while at < len(source):
        token = _token(source, at, last, in_template=bool(braces) and braces[-1] == 0)
        if token.kind == "template":
            if token.text[0] == "}":
                braces.pop()
            if token.text[-1] == "{":
                braces.append(0)
        elif braces and token.kind == "sign" and token.text in "{}":
            braces[-1] += 1 if token.text == "{" else -1
        yield token
        at += len(token.text)
        if token.kind != "blank":
            last = token
    if braces:
        raise ValueError("a template does not end")


def _token(source: str, at: int, last: _Token, *, in_template: bool) -> _Token:
    kind, found = "template", None
    if source[at] == "`" or (in_template and source[at] == "}"):
        found = _TEMPLATE.match(source, at)
    elif source[at] == "/" and source[at : at + 2] not in {"//", "/*"} and not _is_value(last):
        kind, found = "regex", _REGEX.match(source, at)
    elif found := _TOKEN.match(source, at):
        kind = found.lastgroup or ""
    if found is None:
        raise ValueError(f"line {source.count(chr(10), 0, at) + 1} cannot be read: {source[at : at + 40]!r}")
    return _Token(kind, found[0])


def _is_value(token: _Token) -> bool:
    """Whether a slash after this token divides."""
    if token.kind == "template":
        return token.text.endswith("`")
    if token.kind == "sign":
        return token.text in {")", "]", "}", "++", "--"}
    return token.text not in _NO_VALUE
