"""The program as a whole: help, version, what is typed wrongly, what is loaded."""

import subprocess
import sys

import pytest

from tests.cli.commands import TOCSIN

VERBS = ["agent", "demo", "emit", "tail", "run", "status", "forget", "check-config"]


def test_version(tocsin):
    """It says its version."""
    from tocsin import __version__

    assert tocsin("--version").stdout == f"tocsin {__version__}\n"


def test_help_lists_the_commands(tocsin):
    """Without a command it lists them, as with --help."""
    listed = tocsin("--help")

    assert (listed.returncode, listed.stderr) == (0, "")
    assert tocsin().stdout == listed.stdout
    assert [word for word in VERBS if f" {word} " in listed.stdout] == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_command(tocsin, verb):
    """Each command explains itself, with its exit codes."""
    done = tocsin(verb, "--help")

    assert (done.returncode, done.stderr) == (0, "")
    assert f"Usage: tocsin {verb}" in done.stdout
    assert "Exit codes:" in done.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["emt"], 'Unknown command "emt". Did you mean "emit"?'),
        (["emit"], 'Command "emit" parameter TYPE requires an argument.'),
        (["emit", "a.b", "--subjct", "x"], "Unknown option: --subjct. Did you mean --subject?"),
        (["emit", "a.b", "c.d"], "Unused Tokens: ['c.d']."),
        (["emit", "a.b", "--data", "{"], "--data is not JSON"),
        (["emit", "a.b", "--data", "NaN"], "--data is not JSON: NaN is no JSON number"),
        (["emit", "a.b", "--data", "[]", "--status", "ok"], "--data must be a JSON object"),
        (
            ["emit", "a.b", "--url", "node1:8340"],
            "'node1:8340' is not the URL of a node: write http://HOST:PORT",
        ),
        (["status", "--url", "http://a:b"], "is not the URL of a node"),
        (["tail", "--on", "@"], "--on: '@' is not an interest"),
        (["tail", "--since", "soon"], "--since: 'soon' is not a time"),
        (["tail", "--since", "5", "--after", "0"], "--after and --since: give one of them"),
        (["run", "--", "true"], 'Command "run" parameter --on requires an argument.'),
        (["run", "--on", "*"], "no command: write it behind --"),
        (
            ["run", "--on", "*", "--", "no-such-command"],
            "'no-such-command' is not a command that can be run here",
        ),
        (["run", "--on", "*", "--time-limit", "x", "--", "true"], "--time-limit: 'x' is not a time"),
        (
            ["run", "--on", "*", "--cursor-file", "/none/there", "--", "true"],
            "--cursor-file: there is no directory '/none' that can be written",
        ),
        (["demo", "--nodes", "0"], "--nodes: 0 is not within 1 to 50"),
        (["demo", "--port", "65535"], "--port: 65535 is not within 1 to 65533"),
        (["demo", "--port", "x"], 'Invalid value for --port: unable to convert "x" into int.'),
        (["agent", "--retain", "1"], "flag --retain: buffer.retain: is '1', not within 2 to 86400 s"),
        (["agent", "--listen", "0.0.0.0:0"], "flag --listen: node.listen: 0.0.0.0:0 is not loopback"),
        (
            ["agent", "--rail", "tcp/10.0.0.1:1"],
            "flag --rail: rails[0].listen: tcp/10.0.0.1:1 is not loopback",
        ),
        (
            ["agent", "--rail", "10.0.0.1:1"],
            "flag --rail: rails[0].listen: '10.0.0.1:1' is not PROTOCOL/HOST:PORT",
        ),
        (
            ["agent", "--config", "/none/there.toml"],
            "/none/there.toml: cannot be read: No such file or directory",
        ),
    ],
)
def test_wrong_usage(tocsin, words, sentence):
    """What is typed wrongly is told in a sentence, with exit code 2 and no traceback."""
    done = tocsin(*words)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("tocsin: ")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_is_told_cannot_play_tricks(tocsin):
    """Whatever was typed is shown in a form that a terminal can have."""
    done = tocsin("emit", "a.b", "--url", "\x1b]0;x\x07\n")

    assert done.stderr[:-1].isprintable()


@pytest.mark.parametrize("words", [["--version"], ["emit", "a.b", "--url", "http://127.0.0.1:1"]])
def test_only_what_the_verb_needs_is_loaded(environment, words):
    """Publishing an event waits neither for the command tree nor for anything else that is slow to load."""
    code = (
        "import sys\nfrom tocsin.cli import main\ncode = main(sys.argv[1:])\n"
        "print(*sys.modules, file=sys.stderr)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, env=environment
    )

    slow = {
        "cyclopts",
        "rich",
        "asyncio",
        "httpx",
        "zenoh",
        "uvicorn",
        "starlette",
        "tocsin.config",
        "tocsin.agent",
    }
    loaded = set(done.stderr.splitlines()[-1].split())
    assert "tocsin.cli" in loaded
    assert loaded & slow == set()


def test_nobody_reads(environment):
    """A reader that goes away ends the command without a word."""
    with subprocess.Popen(
        [*TOCSIN, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()

        assert process.stderr.read() == ""
