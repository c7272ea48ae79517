"""``tocsin check-config``: says what is wrong with a configuration."""


def test_right(tocsin, tmp_path):
    """A file that is right is told in a line, with exit code 0."""
    file = tmp_path / "tocsin.toml"
    file.write_text("[node]\nname = 'n1'\n[[rails]]\nlisten = 'tcp/127.0.1.1:7447'\n")

    done = tocsin("check-config", str(file))

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{file}: right: node n1 of default, 127.0.0.1:8340, rail1 on tcp/127.0.1.1:7447\n"


def test_wrong(tocsin, tmp_path):
    """Each mistake is a line with file, line, key and what to do; the exit code is 1."""
    file = tmp_path / "tocsin.toml"
    file.write_text("[buffer]\nretain = 1\n\n[node]\nlissten = 'x'\n")

    done = tocsin("check-config", str(file))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"{file}, line 2: buffer.retain: is 1, not within 2 to 86400 s (write a number of s, e.g. 300)",
        f"{file}, line 5: node.lissten: is not a setting (did you mean 'node.listen'?)",
    ]


def test_generators(tocsin, tmp_path):
    """A generator that there is not cannot be disabled."""
    file = tmp_path / "tocsin.toml"
    file.write_text("[generators]\ndisabled = ['load', 'storge']\n")

    done = tocsin("check-config", str(file))

    assert done.returncode == 1
    assert done.stderr == (
        f"{file}, line 2: generators.disabled: has 'storge', no generator (did you mean 'storage'?)\n"
    )


def test_broken(tocsin, tmp_path):
    """A file that is no TOML, or not there, is told as well."""
    file = tmp_path / "tocsin.toml"
    file.write_text("[buffer\n")

    broken, missing = tocsin("check-config", str(file)), tocsin("check-config", str(tmp_path / "none"))

    assert (broken.returncode, missing.returncode) == (1, 1)
    assert broken.stderr.startswith(f"{file}, line 1: is not TOML")
    assert "No such file or directory" in missing.stderr


def test_only_the_file_counts(tocsin, tmp_path):
    """What is set in the environment of who asks does not change the answer."""
    file = tmp_path / "tocsin.toml"
    file.write_text("")

    assert tocsin("check-config", str(file), env={"TOCSIN_BUFFER_RETAIN": "1"}).returncode == 0


def test_warnings(tocsin, tmp_path):
    """What is odd is told, and is not wrong."""
    file = tmp_path / "tocsin.toml"
    file.write_text("[node]\nname = 'n1'\n[cluster]\nnodes = ['n2']\n")

    done = tocsin("check-config", str(file))

    assert done.returncode == 0
    assert done.stderr == f"{file}: warning: cluster.nodes: does not name this node, 'n1'\n"
