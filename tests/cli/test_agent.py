"""``tocsin agent``: how it starts, refuses to, and stops."""

import signal
import socket

from tests.cli.conftest import Cluster


def test_stops_as_told(tmp_path, environment):
    """SIGTERM and SIGINT end it well."""
    for number in (signal.SIGTERM, signal.SIGINT):
        cluster = Cluster(1, tmp_path, environment)
        cluster.start()
        try:
            cluster.wait_ready()
            cluster.processes[0].send_signal(number)

            assert cluster.processes[0].wait(5) == 0
        finally:
            cluster.end()


def test_port_in_use(tocsin):
    """A port that another program has is told, with what to do."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        done = tocsin("agent", "--listen", f"127.0.0.1:{port}")

    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.stderr
    assert "--listen" in done.stderr
    assert "Traceback" not in done.stderr


def test_all_that_is_wrong(tocsin, tmp_path):
    """Everything wrong with its settings is told at once, a line each."""
    file = tmp_path / "tocsin.toml"
    file.write_text("[buffer]\nretain = 1\nmax_evnts = 5\n")

    done = tocsin("agent", "--config", str(file), env={"TOCSIN_LOG_LEVEL": "loud"})

    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 3
    assert all(line.startswith("tocsin: ") for line in done.stderr.splitlines())
