"""Where a key stands in a TOML file."""

import tomllib

import pytest

from tocsin.toml_lines import key_lines, show_path

TEXT = '''# a comment
top = 1

[plain]
a.b = 2
"quo ted" = """
[not.a.table]
x = 1
"""
list = [
  1,
  { deep = 2 },
]

[[rails]]
listen = "x"
[[rails]]
listen = "y"
[rails.sub]
key = 1
[[rails.many]]
key = 2
[a.b.c]
d = 1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("plain",), 4),
        (("plain", "a", "b"), 5),
        (("plain", "quo ted"), 6),
        (("plain", "list"), 10),
        (("plain", "list", 1, "deep"), 10),
        (("rails", 0), 15),
        (("rails", 0, "listen"), 16),
        (("rails", 1), 17),
        (("rails", 1, "listen"), 18),
        (("rails", 1, "sub", "key"), 20),
        (("rails", 1, "many", 0, "key"), 22),
        (("a", "b", "c", "d"), 24),
    ],
)
def test_line_of_key(path, line):
    """Each key has the line on which its statement begins, whatever text stands between."""
    assert key_lines(TEXT)[path] == line


def test_every_key_has_a_line():
    """Nothing that the parser finds is without a line."""
    lines = key_lines(TEXT)

    def check(value, path):
        if path:
            assert path in lines
        items = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        )
        for key, inner in items:
            check(inner, (*path, key))

    check(tomllib.loads(TEXT), ())


def test_line_ends_of_windows():
    """A file from another system has the same lines."""
    assert key_lines("a = 1\r\n\r\nb = 2\r\n")[("b",)] == 3


def test_show_path():
    """A path is shown as an operator writes it."""
    assert show_path(("rails", 0, "listen")) == "rails[0].listen"
