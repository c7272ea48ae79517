"""The configuration of a node: flags over environment over file over defaults, resolved here, once.

:func:`load` returns a :class:`~tocsin.settings.Config` or raises :exc:`ConfigErrors`, which tells
everything that is wrong and not only the first: each with file and line (or variable, or flag), key, and
what to do. What settings there are stands in :mod:`tocsin.settings`. The environment is an argument.
"""

from __future__ import annotations

import difflib
import socket
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from tocsin.core.errors import ConfigError
from tocsin.endpoints import is_loopback, parse_endpoint
from tocsin.settings import RAIL, SETTINGS, Config, Rail, Setting
from tocsin.toml_lines import Path as KeyPath
from tocsin.toml_lines import key_lines
from tocsin.values import BadValue, read_value

__all__ = ["DEFAULT_FILE", "Config", "ConfigErrors", "Rail", "load"]

#: Read when no other file is named, if it is there.
DEFAULT_FILE: Final = Path("/etc/tocsin/tocsin.toml")
_MAX_FILE: Final = 1 << 20
#: Variables that begin like settings and are none: for clients, and which file to read.
_OTHER_VARIABLES: Final = frozenset({"TOCSIN_URL", "TOCSIN_CONFIG"})
_TABLES: Final = {key[:end] for key in SETTINGS for end in range(len(key)) if key[end] == "."}


class ConfigErrors(ConfigError):
    """Everything that is wrong with a configuration; ``str()`` has a line for each."""

    #: What the process ends with: wrong usage.
    exit_code = 2

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        self.errors = tuple(sorted(errors, key=_by_line))
        first = self.errors[0]
        super().__init__(first.what, key=first.key, where=first.where, hint=first.hint)

    def __str__(self) -> str:
        return "\n".join(map(str, self.errors))


def _by_line(error: ConfigError) -> tuple[bool, int]:
    """The order in which an operator goes through them: the file from its top, then the rest."""
    _, found, line = error.where.rpartition(", line ")
    return (not found, int(line) if found else 0)


class _Given(Struct, frozen=True):
    """A value that somebody gave for a setting, and where."""

    value: Any
    where: str
    #: Flags and variables are text, which is read more generously than TOML's own types.
    is_text: bool = False


def load(
    path: str | Path | None,
    env: Mapping[str, str],
    flags: Mapping[str, Any] | None = None,
    *,
    default_file: Path = DEFAULT_FILE,
    hostname: str = "",
    generators: Collection[str] = (),
) -> Config:
    """The configuration from a TOML file, the environment and flags (by key; None: not given).

    ``path`` None: the file of ``TOCSIN_CONFIG``, else ``default_file`` if it exists.
    ``flags["rails"]`` is a list of ``LISTEN[,PEER…]``. ``generators``: the names of those that there are,
    where the caller knows them. Raises :exc:`ConfigErrors`.
    """
    reading = _Reading()
    named = path or env.get("TOCSIN_CONFIG")
    file = Path(named) if named else default_file
    if named or file.exists():
        reading.file(file)
    reading.environment(env)
    reading.flags({key: value for key, value in (flags or {}).items() if value is not None})
    config = reading.config(hostname or socket.gethostname(), env.get("STATE_DIRECTORY", ""))
    reading.check_generators(config.generators.disabled, generators)
    if reading.errors:
        raise ConfigErrors(reading.errors)
    return config


class _Reading:
    """Collects what is given, later sources over earlier ones, and what is wrong with it."""

    def __init__(self) -> None:
        self.errors: list[ConfigError] = []
        self.warnings: list[str] = []
        self._given: dict[str, _Given] = {}
        self._rails: list[dict[str, _Given]] = []
        self._bad: set[str] = set()

    def _wrong(self, what: str, *, key: str = "", where: str = "", hint: str = "") -> None:
        self._bad.add(key)
        self.errors.append(ConfigError(what, key=key, where=where, hint=hint))

    # -- the sources -----------------------------------------------------------------------------

    def file(self, path: Path) -> None:
        """Takes in a TOML file."""
        try:
            with path.open("rb") as stream:
                raw = stream.read(_MAX_FILE + 1)
        except OSError as error:
            hint = "make it, or name another with --config" if isinstance(error, FileNotFoundError) else ""
            self._wrong(f"cannot be read: {error.strerror}", where=str(path), hint=hint)
            return
        if len(raw) > _MAX_FILE:
            self._wrong("has more than 1 MiB, that is no configuration", where=str(path))
            return
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            self._wrong("is not UTF-8", where=f"{path}, line {line}", hint="save it as UTF-8")
            return
        try:
            content = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            what, line = _toml_error(error, text)
            self._wrong(what, where=f"{path}, line {line}")
            return
        self._table(content, (), _Places(str(path), text))

    def _table(self, table: Mapping[str, Any], base: KeyPath, places: _Places) -> None:
        for name, value in table.items():
            path = (*base, name)
            key = ".".join(map(str, path))
            if key == "rails":
                self._rail_tables(value, places)
            elif key in SETTINGS:
                self._given[key] = _Given(value, places.of(path))
            elif key not in _TABLES:
                self._unknown(key, [*SETTINGS, *_TABLES, "rails"], places.of(path))
            elif isinstance(value, dict):
                self._table(value, path, places)
            else:
                self._wrong("is a table, not a value", key=key, where=places.of(path), hint=f"write [{key}]")

    def _rail_tables(self, value: object, places: _Places) -> None:
        if not isinstance(value, list) or not all(isinstance(rail, dict) for rail in value):
            hint = "write [[rails]] above each rail's 'listen' and 'connect'"
            self._wrong("is not a list of tables", key="rails", where=places.of(("rails",)), hint=hint)
            return
        for index, table in enumerate(value):
            rail: dict[str, _Given] = {"": _Given(None, places.of(("rails", index)))}
            for name, content in table.items():
                where = places.of(("rails", index, name))
                if name in RAIL:
                    rail[name] = _Given(content, where)
                else:
                    known = [f"rails[{index}].{setting}" for setting in RAIL]
                    self._unknown(f"rails[{index}].{name}", known, where)
            self._rails.append(rail)

    def _unknown(self, key: str, known: Sequence[str], where: str) -> None:
        near = _nearest(key, known)
        hint = f"did you mean '{near}'?" if near else "docs/reference/settings.md lists all"
        self._wrong("is not a setting", key=key, where=where, hint=hint)

    def environment(self, env: Mapping[str, str]) -> None:
        """Takes in the variables ``TOCSIN_…``; an empty one counts as not set."""
        variables = {setting.variable: setting.key for setting in SETTINGS.values()}
        for name in sorted(env):
            value = env[name]
            if name == "TOCSIN_RAILS" and value:
                self._rails_from(value.split(), f"environment, {name}")
            elif name in variables and value:
                self._given[variables[name]] = _Given(value, f"environment, {name}", is_text=True)
            elif name.startswith("TOCSIN_") and name not in variables and name not in _OTHER_VARIABLES:
                # Never an error: container platforms put variables of their own there (TOCSIN_PORT …).
                # Compared without what all have in common, or everything would look near.
                own = [variable.removeprefix("TOCSIN_") for variable in variables]
                near = difflib.get_close_matches(name.removeprefix("TOCSIN_"), own, n=1, cutoff=0.8)
                if near:
                    hint = f"did you mean 'TOCSIN_{near[0]}'?"
                    self.warnings.append(f"environment, {name}: is not a setting ({hint})")

    def flags(self, flags: Mapping[str, Any]) -> None:
        """Takes in the flags of the command line, by key."""
        for key, value in flags.items():
            if key == "rails":
                if value:
                    self._rails_from(value, "flag --rail")
            else:
                where = f"flag {SETTINGS[key].flag or '--' + key}"
                self._given[key] = _Given(value, where, is_text=isinstance(value, str))

    def _rails_from(self, texts: Sequence[str], where: str) -> None:
        self._rails = []
        for text in texts:
            listen, *connect = text.split(",")
            rail = {"": None, "listen": listen, "connect": [peer for peer in connect if peer]}
            self._rails.append({name: _Given(value, where) for name, value in rail.items()})

    # -- what comes of it ------------------------------------------------------------------------

    def config(self, hostname: str, state_directory: str) -> Config:
        """The configuration as far as it is right; look at :attr:`errors` before using it."""
        # systemd may name several directories, separated by colons; the unit's first is ours.
        first = state_directory.partition(":")[0]
        self._where_empty("node.name", _Given(hostname, "name of the host"))
        self._where_empty("node.state_dir", _Given(first, "environment, STATE_DIRECTORY"))
        values: dict[str, Any] = {}
        for key, setting in SETTINGS.items():
            given = self._given.get(key)
            values[key] = setting.default if given is None else self._value(setting, given, key)
        rails = tuple(self._rail(index, rail) for index, rail in enumerate(self._rails))
        self._check_together(values, rails)
        url = values["node.url"] or _url(values["node.listen"], values["node.name"])
        values["node.url"] = url.rstrip("/")
        config: Config = _build(Config, "", values | {"rails": rails, "warnings": tuple(self.warnings)})
        return config

    def _where_empty(self, key: str, instead: _Given) -> None:
        if key not in self._given or self._given[key].value == "":
            self._given[key] = instead

    def _value(self, setting: Setting, given: _Given, key: str) -> Any:
        try:
            return read_value(setting, given.value, is_text=given.is_text)
        except BadValue as error:
            self._wrong(str(error), key=key, where=given.where, hint=error.hint)
            return setting.default

    def _rail(self, index: int, rail: dict[str, _Given]) -> Rail:
        key = f"rails[{index}]"
        values = {
            name: self._value(RAIL[name], given, f"{key}.{name}") for name, given in rail.items() if name
        }
        is_client = values.get("mode") == "client"
        if not is_client and not rail.get("listen", rail[""]).value:
            hint = 'write listen = "tcp/ADDRESS:PORT" with this node\'s address on that network'
            values.pop("listen", None)
            self._wrong("has no 'listen'", key=key, where=rail[""].where, hint=hint)
            self._bad.add(f"{key}.listen")
        if is_client and not rail.get("connect", rail[""]).value:
            hint = 'write connect = ["tcp/ADDRESS:PORT", …] with the addresses of routers'
            self._wrong("has no 'connect'", key=key, where=rail[""].where, hint=hint)
        values["name"] = values.get("name") or f"rail{index + 1}"
        return Rail(**values)

    def check_generators(self, disabled: Sequence[str], known: Collection[str]) -> None:
        """A name that no generator has would switch off nothing, silently."""
        for name in disabled if known else ():
            if name not in known:
                near = _nearest(name, list(known))
                hint = f"did you mean '{near}'?" if near else f"write some of: {', '.join(known)}"
                where = self._given["generators.disabled"].where
                self._wrong(f"has {name!r}, no generator", key="generators.disabled", where=where, hint=hint)

    # -- settings that concern each other ----------------------------------------------------------

    def _check_together(self, values: Mapping[str, Any], rails: Sequence[Rail]) -> None:
        self._check_order(values, "generators.storage.filling", "generators.storage.full")
        if "feed.poll_interval" in self._given:  # the default is made to fit
            self._check_order(values, "feed.poll_interval", "buffer.retain")
        self._check_twice(rails)
        if values["buffer.storage"] == "file" and not (
            values["buffer.directory"] or values["node.state_dir"]
        ):
            given, hint = self._given["buffer.storage"], "set buffer.directory or node.state_dir"
            self._wrong(
                "is 'file', and no directory is named", key="buffer.storage", where=given.where, hint=hint
            )
        if not values["node.allow_anonymous"]:
            self._check_loopback(values["node.listen"], rails)
        nodes, name = values["cluster.nodes"], values["node.name"]
        if nodes and name not in nodes and not {"cluster.nodes", "node.name"} & self._bad:
            self.warnings.append(f"cluster.nodes: does not name this node, {name!r}")
        if strangers := set(values["buffer.nodes"]) - set(nodes or values["buffer.nodes"]):
            self.warnings.append(f"buffer.nodes: cluster.nodes does not name {', '.join(sorted(strangers))}")
        if not values["buffer.enabled"] and not rails:
            self.warnings.append("buffer.enabled: is false, and without a rail no other node has a buffer")

    def _check_order(self, values: Mapping[str, Any], lower: str, upper: str) -> None:
        if values[lower] < values[upper] or {lower, upper} & self._bad:
            return
        given = self._given.get(lower) or self._given[upper]
        what = f"is {values[lower]:g} and must be below {upper}, which is {values[upper]:g}"
        self._wrong(what, key=lower, where=given.where, hint="change one of them")

    def _check_twice(self, rails: Sequence[Rail]) -> None:
        for name in ("name", "listen"):
            seen: dict[str, int] = {}
            for index, rail in enumerate(rails):
                key, value = f"rails[{index}].{name}", getattr(rail, name)
                if key in self._bad or not value or value.endswith(":0"):
                    continue
                if value in seen:
                    given = self._rails[index].get(name, self._rails[index][""])
                    what = f"is {value!r} like that of rails[{seen[value]}]"
                    self._wrong(what, key=key, where=given.where, hint="each rail is a network of its own")
                seen.setdefault(value, index)

    def _check_loopback(self, listen: str, rails: Sequence[Rail]) -> None:
        if "node.listen" not in self._bad and not is_loopback(listen.rpartition(":")[0].strip("[]")):
            self._anonymous("node.listen", listen, self._given["node.listen"].where)
        for index, rail in enumerate(rails):
            for name, endpoints in (("listen", (rail.listen,)), ("connect", rail.connect)):
                key = f"rails[{index}].{name}"
                if key in self._bad:
                    continue
                given = filter(None, endpoints)
                open_to_all = [e for e in given if not is_loopback(parse_endpoint(e).address.host)]
                if open_to_all:
                    self._anonymous(key, open_to_all[0], self._rails[index][name].where)

    def _anonymous(self, key: str, endpoint: str, where: str) -> None:
        what = f"{endpoint} is not loopback, and nobody would be asked who they are"
        hint = "use 127.0.0.1, or accept it with node.allow_anonymous = true or --allow-anonymous"
        self._wrong(what, key=key, where=where, hint=hint)


class _Places:
    """Where the keys of a file stand, in words."""

    def __init__(self, file: str, text: str) -> None:
        self._file, self._lines = file, key_lines(text)

    def of(self, path: KeyPath) -> str:
        line = self._lines.get(path)
        return f"{self._file}, line {line}" if line else self._file


def _build(struct: type[Any], prefix: str, values: Mapping[str, Any]) -> Any:
    """A struct from values by full key; a table within is built in turn."""
    parts = {}
    for name in struct.__struct_fields__:
        key = f"{prefix}{name}"
        if key in values:
            parts[name] = values[key]
        else:
            parts[name] = _build(type(getattr(struct(), name)), f"{key}.", values)
    return struct(**parts)


def _url(listen: str, name: str) -> str:
    """The URL of an address; one that stands for all interfaces is no address to go to, the name is."""
    host, _, port = listen.rpartition(":")
    return f"http://{name if host in ('0.0.0.0', '[::]') else host}:{port}"


def _nearest(key: str, known: Sequence[str]) -> str:
    """The known key that was probably meant, or ''. The right word in the wrong table counts as near."""
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.7)
    if close:
        return close[0]
    last = key.rpartition(".")[2]
    same = [name for name in known if name.rpartition(".")[2] == last]
    return same[0] if same else ""


def _toml_error(error: tomllib.TOMLDecodeError, text: str) -> tuple[str, int]:
    """What TOML's parser says and the line: it tells the place only within its sentence."""
    what, _, place = str(error).rpartition(" (at ")
    words = place.rstrip(")").replace(",", "").split()
    if len(words) >= 2 and words[0] == "line" and words[1].isdigit():
        column = f" (column {words[3]})" if len(words) == 4 else ""
        return f"is not TOML: {what}{column}", int(words[1])
    return f"is not TOML: {what or error}", text.rstrip("\n").count("\n") + 1
