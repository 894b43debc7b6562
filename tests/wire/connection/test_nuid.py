"""Identifiers: unique, well-formed, in every thread and forked child."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from objstore.wire.connection.requests import next_nuid

pytestmark = pytest.mark.newest_server


def test_form() -> None:
    """22 characters of base 62: a token of a subject."""
    for _ in range(1000):
        assert re.fullmatch("[0-9A-Za-z]{22}", next_nuid())


def test_all_digits_occur_at_every_place() -> None:
    """No place is constant: all randomness arrives in the text."""
    columns = zip(*(next_nuid() for _ in range(5000)), strict=True)
    for place, column in enumerate(columns):
        assert len(set(column)) == 62, place


@pytest.mark.parametrize(
    ("random", "expected"),
    [
        (bytes(22), "0" * 22),
        (bytes(21) + b"\x01", "0" * 21 + "1"),
        (b"\x3d\x3e\xff" + bytes(19), "z07" + "0" * 19),
    ],
)
def test_known_randomness(monkeypatch: pytest.MonkeyPatch, random: bytes, expected: str) -> None:
    def urandom(size: int) -> bytes:
        assert size == 22
        return random

    monkeypatch.setattr("objstore.wire.connection.requests.os.urandom", urandom)
    assert next_nuid() == expected


def test_unique_over_threads() -> None:
    with ThreadPoolExecutor(8) as pool:
        batches = pool.map(lambda _: [next_nuid() for _ in range(2000)], range(8))
        made = [made for batch in batches for made in batch]
    assert len(set(made)) == 16_000


def test_unique_over_a_fork() -> None:
    """A child does not go on with its parent's sequence: both ask the operating system."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, next_nuid().encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        theirs = pipe.read().decode()
    os.waitpid(child, 0)
    assert len(theirs) == 22
    assert theirs != next_nuid()
