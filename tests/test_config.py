"""The configuration: what wins, what is refused, and how it is told."""

from pathlib import Path

import pytest

from tocsin.config import Config, ConfigErrors, load
from tocsin.settings import RAIL, SETTINGS


@pytest.fixture
def read(tmp_path):
    """Loads a configuration from text, variables and flags, on a host called ``host1``."""

    def read(text: str = "", env: dict[str, str] | None = None, **flags: object) -> Config:
        file = tmp_path / "tocsin.toml"
        file.write_text(text, "utf-8")
        return load(file, env or {}, flags, hostname="host1")

    return read


@pytest.fixture
def wrong(read, tmp_path):
    """What is wrong with a configuration: a line for each, without the directory of the file."""

    def wrong(text: str = "", env: dict[str, str] | None = None, **flags: object) -> list[str]:
        with pytest.raises(ConfigErrors) as caught:
            read(text, env, **flags)
        return str(caught.value).replace(f"{tmp_path}/", "").splitlines()

    return wrong


# -- what is there -----------------------------------------------------------------------------------


def test_defaults(read):
    """An empty file is a complete configuration, on loopback."""
    config = read()

    assert (config.cluster.name, config.node.name) == ("default", "host1")
    assert config.node.listen == "127.0.0.1:8340"
    assert config.node.address == ("127.0.0.1", 8340)
    assert config.node.url == "http://127.0.0.1:8340"
    assert (config.buffer.retain, config.buffer.max_events, config.buffer.max_bytes) == (
        300,
        100_000,
        64 << 20,
    )
    assert (config.rails, config.warnings) == ((), ())


def test_every_kind_of_value(read):
    """Text, numbers with and without unit, lists, truth and tables are read from TOML."""
    config = read(
        """
        cluster = { name = "c1", nodes = ["host1", "host2"] }
        generators.disabled = ["services"]
        [buffer]
        retain = "5 min"
        max_bytes = "128 MiB"
        enabled = false
        [generators.storage]
        filling = 80
        [[rails]]
        listen = "tcp/127.0.1.1:7447"
        connect = ["tcp/127.0.1.2:7447", "tcp/localhost:7448"]
        [[rails]]
        name = "blue"
        listen = "tcp/[::1]:7447#iface=lo"
        """
    )

    assert (config.cluster.name, config.cluster.nodes) == ("c1", ("host1", "host2"))
    assert (config.buffer.retain, config.buffer.max_bytes, config.buffer.enabled) == (300.0, 128 << 20, False)
    assert (config.generators.disabled, config.generators.storage.filling) == (("services",), 80.0)
    assert [(rail.name, rail.listen, rail.connect) for rail in config.rails] == [
        ("rail1", "tcp/127.0.1.1:7447", ("tcp/127.0.1.2:7447", "tcp/localhost:7448")),
        ("blue", "tcp/[::1]:7447#iface=lo", ()),
    ]


def test_precedence(read):
    """A flag wins over the environment, that over the file, that over the default."""
    text = "[buffer]\nretain = 10\n[cluster]\nname = 'file'\n[log]\nlevel = 'debug'"
    env = {"TOCSIN_BUFFER_RETAIN": "20", "TOCSIN_CLUSTER_NAME": "environment"}

    config = read(text, env, **{"buffer.retain": "30", "cluster.name": None})

    assert (config.buffer.retain, config.cluster.name, config.log.level) == (30, "environment", "debug")


def test_rails_of_flags_and_environment(read):
    """Rails given by flag or variable replace all of the file; each is LISTEN and its peers."""
    text = '[[rails]]\nlisten = "tcp/127.0.9.9:1"'
    env = {"TOCSIN_RAILS": "tcp/127.0.1.1:1,tcp/127.0.1.2:1 tcp/127.0.2.1:1"}

    by_variable = read(text, env).rails
    by_flag = read(text, env, rails=["tcp/127.0.3.1:1,tcp/127.0.3.2:1,tcp/127.0.3.3:1"]).rails

    assert [(rail.name, rail.listen, len(rail.connect)) for rail in by_variable] == [
        ("rail1", "tcp/127.0.1.1:1", 1),
        ("rail2", "tcp/127.0.2.1:1", 0),
    ]
    assert [(rail.listen, len(rail.connect)) for rail in by_flag] == [("tcp/127.0.3.1:1", 2)]


def test_environment_reads_every_type(read):
    """Variables are text, read as the type of their setting; an empty one counts as not set."""
    env = {
        "TOCSIN_CLUSTER_NODES": "host1, host2,host3",
        "TOCSIN_NODE_ALLOW_ANONYMOUS": "Yes",
        "TOCSIN_FEED_WAIT_SLOTS": "5",
        "TOCSIN_CLUSTER_DOWN_AFTER": "1m",
        "TOCSIN_LOG_FORMAT": "",
    }

    config = read("", env)

    assert config.cluster.nodes == ("host1", "host2", "host3")
    assert (config.node.allow_anonymous, config.feed.wait_slots) == (True, 5)
    assert (config.cluster.down_after, config.log.format) == (60, "text")


def test_state_directory_of_systemd(read):
    """The directory that systemd gives is used unless another is set; of several, the first."""
    env = {"STATE_DIRECTORY": "/var/lib/tocsin:/var/lib/other"}

    assert read("", env).node.state_dir == "/var/lib/tocsin"
    assert read("[node]\nstate_dir = '/srv/t'", env).node.state_dir == "/srv/t"


def test_empty_means_not_set(read):
    """What may be left out may also be written as empty, as the example file shows it."""
    config = read("[node]\nname = ''\nstate_dir = ''\nurl = ''", {"STATE_DIRECTORY": "/var/lib/tocsin"})

    assert (config.node.name, config.node.state_dir) == ("host1", "/var/lib/tocsin")
    assert config.node.url == "http://127.0.0.1:8340"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("listen = '[::1]:80'", "http://[::1]:80"),
        ("listen = '0.0.0.0:80'\nallow_anonymous = true", "http://n:80"),
        ("listen = '[::]:80'\nallow_anonymous = true", "http://n:80"),
        ("url = 'https://ops.example/tocsin/'", "https://ops.example/tocsin"),
    ],
)
def test_url(read, text, url):
    """The URL is made of where the node listens, by its name where that stands for all interfaces."""
    assert read(f"[node]\nname = 'n'\n{text}").node.url == url


def test_which_file(tmp_path):
    """The file named wins over TOCSIN_CONFIG, that over the default one, which need not be there."""
    files = {name: tmp_path / name for name in ("named", "variable", "default")}
    for name, file in files.items():
        file.write_text(f"cluster.name = '{name}'")
    env = {"TOCSIN_CONFIG": str(files["variable"])}

    def cluster(path: Path | None, env: dict[str, str], default: Path) -> str:
        return load(path, env, default_file=default, hostname="h").cluster.name

    assert cluster(files["named"], env, files["default"]) == "named"
    assert cluster(None, env, files["default"]) == "variable"
    assert cluster(None, {}, files["default"]) == "default"
    assert cluster(None, {}, tmp_path / "none") == "default"


# -- what is wrong -----------------------------------------------------------------------------------


def test_all_errors_are_told(wrong):
    """Everything wrong is told at once, in the order of the file, then environment and flags."""
    text = "[cluster]\nname = ''\n[bufer]\nx = 1\n[buffer]\nretain = 1\nmax_events = 'many'\n"

    told = wrong(text, {"TOCSIN_LOG_LEVEL": "loud"}, **{"node.listen": "8340"})

    assert [line.partition(": ")[0] for line in told] == [
        "tocsin.toml, line 2",
        "tocsin.toml, line 3",
        "tocsin.toml, line 6",
        "tocsin.toml, line 7",
        "flag --listen",
        "environment, TOCSIN_LOG_LEVEL",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[buffer]\nretane = 5", "2: buffer.retane: is not a setting (did you mean 'buffer.retain'?)"),
        ("[bufer]\nretain = 5", "1: bufer: is not a setting (did you mean 'buffer'?)"),
        ("\nretain = 5", "2: retain: is not a setting (did you mean 'buffer.retain'?)"),
        ("[zebra]", "1: zebra: is not a setting (docs/reference/settings.md lists all)"),
        (
            "[[rails]]\nlisten='tcp/127.0.0.1:1'\nlissten=''",
            "3: rails[0].lissten: is not a setting (did you mean 'rails[0].listen'?)",
        ),
        ("buffer = 3", "1: buffer: is a table, not a value (write [buffer])"),
        (
            "rails = 'tcp/127.0.0.1:1'",
            "1: rails: is not a list of tables (write [[rails]] above each rail's 'listen' and 'connect')",
        ),
        (
            "[[rails]]\nconnect = []",
            (
                "1: rails[0]: has no 'listen' "
                '(write listen = "tcp/ADDRESS:PORT" with this node\'s address on that network)'
            ),
        ),
        (
            "[[rails]]\nlisten = ''",
            (
                "1: rails[0]: has no 'listen' "
                '(write listen = "tcp/ADDRESS:PORT" with this node\'s address on that network)'
            ),
        ),
        (
            "[[rails]]\nmode = 'client'\nconnect = []",
            (
                "1: rails[0]: has no 'connect' "
                '(write connect = ["tcp/ADDRESS:PORT", …] with the addresses of routers)'
            ),
        ),
        (
            "[[rails]]\nmode = 'star'\nlisten = 'tcp/127.0.0.1:1'",
            "2: rails[0].mode: is 'star' (write one of: peer, client, router)",
        ),
        ("[buffer]\nnodes = ['a', 'a']", "2: buffer.nodes: has a more than once"),
        (
            "[buffer]\nretain = 1",
            "2: buffer.retain: is 1, not within 2 to 86400 s (write a number of s, e.g. 300)",
        ),
        (
            "[buffer]\nretain = nan",
            "2: buffer.retain: is nan, not within 2 to 86400 s (write a number of s, e.g. 300)",
        ),
        (
            "[buffer]\nretain = '5 parsecs'",
            "2: buffer.retain: is '5 parsecs', not a number (write a number of s, e.g. 300)",
        ),
        (
            "[buffer]\nretain = '5'",
            "2: buffer.retain: is '5', not a number (write a number of s, e.g. 300)",
        ),
        (
            "[buffer]\nmax_events = 99.5",
            "2: buffer.max_events: is 99.5, not a whole number (write a number of events, e.g. 100000)",
        ),
        (
            "[feed]\nwait_slots = true",
            "2: feed.wait_slots: is True, not a number (write a number of requests, e.g. 1000)",
        ),
        (
            "[buffer]\nenabled = 'yes'",
            "2: buffer.enabled: is 'yes', not true or false (write true or false, without quotes)",
        ),
        ("[cluster]\nname = 5", "2: cluster.name: is 5, not text (put it in quotes)"),
        ("[cluster]\nname = {}", "2: cluster.name: is {}, not text (put it in quotes)"),
        ('[node]\nname = "a\\u0007b"', "2: node.name: has a control character"),
        (
            "[node]\nname = 'a/b'",
            "2: node.name: is 'a/b'; a name has letters and digits, within it also '-', '_' and '.'",
        ),
        (
            "[cluster]\nnodes = ['a', 5]",
            '2: cluster.nodes: is [\'a\', 5], not a list of texts (write ["one", "two"])',
        ),
        ("[cluster]\nnodes = ['a', 'b', 'a']", "2: cluster.nodes: has a more than once"),
        ("[log]\nlevel = 'loud'", "2: log.level: is 'loud' (write one of: debug, info, warning, error)"),
        ("[node]\nlisten = '127.0.0.1:99999'", "2: node.listen: the port 99999 is not between 0 and 65535"),
        (
            "[node]\nurl = 'ftp://x'",
            "2: node.url: is 'ftp://x'; write http://HOST:PORT, or https:// before a proxy",
        ),
        (
            "[node]\nurl = 'http://x:y'",
            "2: node.url: is 'http://x:y'; write http://HOST:PORT, or https:// before a proxy",
        ),
        (
            "[feed]\ncors_origins = ['*']",
            "2: feed.cors_origins: has '*'; write each origin as a browser sends it: https://HOST[:PORT]",
        ),
        (
            "[[rails]]\nlisten = 'tls/127.0.0.1:1'",
            "2: rails[0].listen: the protocol 'tls' in 'tls/127.0.0.1:1' is not tcp or udp",
        ),
        (
            "[[rails]]\nlisten = 'tcp/127.0.0.1:1'\nconnect = ['tcp/127.0.0.2:0']",
            "3: rails[0].connect: the port 0 is not between 1 and 65535",
        ),
        (
            "[[rails]]\nlisten = 'tcp/127.0.0.1:1'\n[[rails]]\nlisten = 'tcp/127.0.0.1:1'",
            (
                "4: rails[1].listen: is 'tcp/127.0.0.1:1' like that of rails[0] "
                "(each rail is a network of its own)"
            ),
        ),
        (
            "[generators.storage]\nfull = 50",
            (
                "2: generators.storage.filling: is 90 and must be below generators.storage.full, which is 50 "
                "(change one of them)"
            ),
        ),
        (
            "[buffer]\nretain = 2\n[feed]\npoll_interval = 3",
            "4: feed.poll_interval: is 3 and must be below buffer.retain, which is 2 (change one of them)",
        ),
        (
            "[buffer]\nstorage = 'file'",
            (
                "2: buffer.storage: is 'file', and no directory is named "
                "(set buffer.directory or node.state_dir)"
            ),
        ),
    ],
)
def test_what_is_wrong_is_told(wrong, text, sentence):
    """The line says where, which key, what is wrong and what to do."""
    assert wrong(text) == [f"tocsin.toml, line {sentence}"]


def test_broken_toml(wrong):
    """A file that is not TOML is told with its line and column."""
    assert wrong("[buffer]\nretain = \n") == ["tocsin.toml, line 2: is not TOML: Invalid value (column 10)"]
    [told] = wrong("a = 1\nb = '")
    assert told.startswith("tocsin.toml, line 2: is not TOML: ")


def test_file_that_cannot_be_read(tmp_path, wrong):
    """A file that is missing, a directory, not UTF-8 or absurdly large is told."""
    with pytest.raises(ConfigErrors, match=r"none\.toml: cannot be read: No such file or directory"):
        load(tmp_path / "none.toml", {}, hostname="h")
    with pytest.raises(ConfigErrors, match="cannot be read: Is a directory"):
        load(tmp_path, {}, hostname="h")
    (tmp_path / "latin.toml").write_bytes(b"# ok\nname = '\xe4'\n")
    with pytest.raises(ConfigErrors, match="line 2: is not UTF-8"):
        load(tmp_path / "latin.toml", {}, hostname="h")
    assert wrong("#" * (1 << 20) + "\n") == ["tocsin.toml: has more than 1 MiB, that is no configuration"]


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:8340", "10.0.0.1:8340", "node1:8340", "[::]:8340", "[2001:db8::1]:1"]
)
def test_only_loopback_without_authentication(read, wrong, listen):
    """Beyond loopback nothing is served or sent unless anonymous access is accepted in so many words."""
    [told] = wrong(f"[node]\nlisten = '{listen}'")

    assert told.startswith(f"tocsin.toml, line 2: node.listen: {listen} is not loopback")
    assert "--allow-anonymous" in told
    assert read(f"[node]\nlisten = '{listen}'\nallow_anonymous = true").node.listen == listen
    assert read(f"[node]\nlisten = '{listen}'", **{"node.allow_anonymous": True}).node.listen == listen


def test_rails_are_held_to_the_same(wrong):
    """Both ends of a rail count: where it listens and what it connects to."""
    text = "[[rails]]\nlisten = 'tcp/127.0.0.1:1'\nconnect = ['tcp/127.0.0.2:1', 'tcp/10.0.0.2:1']"

    told = wrong(text, rails=["tcp/10.1.0.1:7447"])

    assert wrong(text)[0].startswith("tocsin.toml, line 3: rails[0].connect: tcp/10.0.0.2:1 is not loopback")
    assert told[0].startswith("flag --rail: rails[0].listen: tcp/10.1.0.1:7447 is not loopback")


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "127.8.8.8:80", "localhost:80", "[::1]:80"])
def test_loopback(read, listen):
    """All of loopback is loopback."""
    assert read(f"[node]\nlisten = '{listen}'").node.listen == listen


# -- what is only odd --------------------------------------------------------------------------------


def test_variables_of_others(read):
    """A variable that looks misspelt is a warning, one that others put there is nothing of ours."""
    env = {"TOCSIN_BUFER_RETAIN": "5", "TOCSIN_PORT": "tcp://10.0.0.1:8340", "TOCSIN_URL": "http://x"}

    assert read("", env).warnings == (
        "environment, TOCSIN_BUFER_RETAIN: is not a setting (did you mean 'TOCSIN_BUFFER_RETAIN'?)",
    )


def test_a_node_that_its_cluster_does_not_name(read):
    """A node that is not among the nodes of its cluster is probably misnamed."""
    assert read("[cluster]\nnodes = ['a', 'b']").warnings == (
        "cluster.nodes: does not name this node, 'host1'",
    )


def test_a_buffer_that_is_probably_not_meant_so(read):
    """Of nodes that the cluster does not have; or none, where no other node could have one."""
    nodes = "[cluster]\nnodes = ['host1', 'b']\n"
    assert read(f"{nodes}[buffer]\nnodes = ['b', 'c']").warnings == (
        "buffer.nodes: cluster.nodes does not name c",
    )
    assert read("[buffer]\nnodes = ['b', 'c']").warnings == ()
    assert read("[buffer]\nenabled = false").warnings == (
        "buffer.enabled: is false, and without a rail no other node has a buffer",
    )
    assert read("[buffer]\nenabled = false\n[[rails]]\nlisten = 'tcp/127.0.0.1:1'").warnings == ()


# -- the settings themselves -------------------------------------------------------------------------


@pytest.mark.parametrize("setting", [*SETTINGS.values(), *RAIL.values()], ids=lambda setting: setting.key)
def test_every_setting_is_documented(setting):
    """A setting has a sentence; a number has a unit and a range that its default is in."""
    assert setting.sentence.endswith(".")
    assert len(setting.sentence) <= 140
    if setting.type in (int, float):
        assert setting.unit
        assert setting.low <= setting.default <= setting.high


def test_default_values_are_right(read):
    """A file that sets every setting to its default is read without a word."""
    from tocsin.values import show_value

    text = "\n".join(
        f"{key} = {show_value(setting.default)}" for key, setting in SETTINGS.items() if setting.default != ""
    )

    assert read(text) == read()


def test_the_shortest_retention_needs_no_other_setting(read):
    """``--retain 2`` alone is right: the default of the poll interval is made to fit."""
    assert read("[buffer]\nretain = 2").buffer.retain == 2


def test_a_client_of_routers_needs_no_address_of_its_own(read):
    """It is dialled by nobody; where it has an address, that is the one from which it dials."""
    routers = "connect = ['tcp/127.0.0.1:1', 'tcp/127.0.0.1:2']"
    text = f"[[rails]]\nmode = 'client'\n{routers}\n"
    first, second = read(text + text).rails
    assert (first.mode, first.listen, second.listen) == ("client", "", "")
    assert first.connect == second.connect == ("tcp/127.0.0.1:1", "tcp/127.0.0.1:2")
    assert read(text + "listen = 'tcp/127.0.0.1:0'").rails[0].listen == "tcp/127.0.0.1:0"
