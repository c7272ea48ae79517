"""Wall time as text."""

from __future__ import annotations

from tocsin.core.walltime import WallTime


def test_text_is_rfc_3339_in_utc_with_microseconds() -> None:
    """The same second is not formatted twice, another one is; the clock may go back."""
    wall = WallTime()

    assert "2026-11-23T12:00:00.000001Z" == wall.text(1_795_435_200_000_001_999)
    assert "2026-11-23T12:00:00.999999Z" == wall.text(1_795_435_200_999_999_000)
    assert "2026-11-23T12:00:01.000000Z" == wall.text(1_795_435_201_000_000_000)
    assert "1970-01-01T00:00:00.000000Z" == wall.text(0)
