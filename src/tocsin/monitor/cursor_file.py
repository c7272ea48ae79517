"""The durable cursor file: where a reader is, replaced atomically and written through to the disk."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec
from msgspec import Struct, field

from tocsin.core.errors import ConfigError
from tocsin.core.follow import Position

__all__ = ["CursorFile", "Saved"]


class Saved(Struct, frozen=True):
    """What the file holds."""

    cursor: str
    #: What has been handled. None: not known, the reader had only a cursor.
    seen: dict[str, str] | None = None
    #: What handlers that run at most once have been called with, be it that they did not return.
    begun: dict[str, str] = field(default_factory=dict)
    version: int = 1


class CursorFile:
    """One reader's file. Two readers must not share one."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def load(self) -> Saved | None:
        """What was saved last; None if there is no file. Raises ConfigError for one that is damaged."""
        try:
            saved = msgspec.json.decode(self.path.read_bytes(), type=Saved)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigError(
                f"is not a cursor file: {error}",
                where=str(self.path),
                hint="remove it to begin at now; what happened meanwhile is then missed",
            ) from None
        if saved.version != 1:
            raise ConfigError(f"is of version {saved.version}, 1 is understood", where=str(self.path))
        return saved

    def save(self, position: Position, begun: dict[str, str]) -> None:
        """Replaces the file: after this returns, a power failure leaves this or something later."""
        body = msgspec.json.encode(Saved(position.cursor, position.seen, begun))
        temporary = self.path.with_name(f".{self.path.name}.new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 (a descriptor)
                file.write(body + b"\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        self._sync_folder()

    def _sync_folder(self) -> None:
        """The new name, too, is on the disk only after this."""
        descriptor = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
