"""``tocsin check-config``: says what is wrong with a configuration."""

from __future__ import annotations

import sys
from pathlib import Path

from tocsin.config import ConfigErrors, load
from tocsin.logs import printable

__all__ = ["check_config"]


def check_config(file: Path, /) -> int:
    """Says everything that is wrong with a configuration file: file, line, key and what to do.

    Only the file is looked at, not the environment. Exit codes: 0 right; 1 wrong; 2 wrong usage.

    :param file: The file, e.g. /etc/tocsin/tocsin.toml.
    """
    from tocsin.generators.registry import REGISTRY

    try:
        config = load(file, {}, generators=[registration.name for registration in REGISTRY])
    except ConfigErrors as errors:
        for error in errors.errors:
            print(printable(str(error)), file=sys.stderr)
        return 1
    for warning in config.warnings:
        print(f"{file}: warning: {printable(warning)}", file=sys.stderr)
    rails = ", ".join(f"{rail.name} on {rail.listen}" for rail in config.rails) or "no rails"
    print(f"{file}: right: node {config.node.name} of {config.cluster.name}, {config.node.listen}, {rails}")
    return 0
