"""Nonsense for the parser: ``python -m tests.wire.codec.fuzz_protocol [--runs N] [--seed N]``.

With atheris installed it is guided by coverage; without, or with ``--no-atheris``, valid streams
are mutated by a seeded random generator. What must hold for every input:

- only :class:`~objstore.errors.ProtocolError` comes out;
- the verdict and the events do not depend on where reads are cut, nor on the slab's size;
- memory never goes above a bound.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
from typing import Any

from objstore.errors import ProtocolError
from objstore.wire.codec import protocol
from objstore.wire.codec.protocol import Message, Parser, parse_headers

#: While fuzzing: small, so that inputs of some hundred bytes reach beyond them.
LIMITS = {"MAX_LINE": 512, "MAX_MESSAGE": 4096, "_TRUSTED_SIZE": 64}

SLABS = (1, 2, 16, 64, 256, 4096)

SEEDS = (
    b'INFO {"server_id":"x","connect_urls":["10.0.0.1:4222"]}\r\n',
    b"PING\r\n",
    b"PONG\r\n",
    b"+OK\r\n",
    b"-ERR 'Authorization Violation'\r\n",
    b"MSG a.b 1 5\r\nhello\r\n",
    b"MSG a.b 1 _INBOX.r 0\r\n\r\n",
    b"MSG a 1 300\r\n" + b"x" * 300 + b"\r\n",
    b"HMSG a 1 12 15\r\nNATS/1.0\r\n\r\nabc\r\n",
    b"HMSG a 1 r 30 30\r\nNATS/1.0 404 No Messages\r\nA:\r\n\r\n",
    b"HTTP/1.1 400 Bad Request\r\n",
    b"\x15\x03\x03\x00\x02",
)

#: What mutations put in place of what was there.
SPLICES = (
    b"",
    b"\r\n",
    b"\r",
    b" ",
    b"\t",
    b"\x0b",
    b"0",
    b"9",
    b"9" * 12,
    b"-1",
    b'{"',
    b"[" * 99,
)


def run(data: bytes, slab: int, sizes: list[int]) -> tuple[list[Any], bool]:
    """The events of the data, and whether it was refused, when read in pieces of these sizes."""
    parser = Parser(slab)
    events: list[Any] = []
    at = turn = 0
    bound = max(slab, 2 * LIMITS["MAX_LINE"] + 4) + LIMITS["MAX_MESSAGE"] + 2
    while at < len(data):
        with parser.get_buffer() as buffer:
            count = min(len(buffer), len(data) - at, sizes[turn % len(sizes)])
            if count < 1:
                raise AssertionError("no room to receive into")
            buffer[:count] = data[at : at + count]
        at += count
        turn += 1
        try:
            events += parser.received(count)
        except ProtocolError:
            return events, True
        memory = len(parser._slab) + len(parser._body or b"")
        if memory > bound:
            raise AssertionError(f"{memory} bytes of memory, above {bound}")
    return events, False


def look(event: Any) -> Any:
    """An event as a value, after trying what a user of it would."""
    if not isinstance(event, Message):
        return event
    repr(event)
    event.value(b"A")
    try:
        headers: Any = parse_headers(event.header)
    except ProtocolError:
        headers = None
    return event.sid, event.subject, event.reply, headers, event.status, bytes(event.payload)


def one_input(data: bytes) -> None:
    """Run one input: four bytes that choose slabs and cuts, then the stream.

    Raises:
        AssertionError: a property does not hold.
    """
    choices, stream = data[:4].ljust(4, b"\0"), data[4:]
    slabs = [SLABS[choice % len(SLABS)] for choice in choices[:2]]
    sizes = [1 + choices[2] % 40, 1 + choices[3] % 200]
    saved = {name: getattr(protocol, name) for name in LIMITS}
    try:
        for name, value in LIMITS.items():
            setattr(protocol, name, value)
        whole, refused = run(stream, slabs[0], [len(stream)])
        pieces, refused_too = run(stream, slabs[1], sizes)
    finally:
        for name, value in saved.items():
            setattr(protocol, name, value)
    if refused != refused_too:
        raise AssertionError(f"refused when whole: {refused}, in pieces: {refused_too}")
    # A read that ends in nonsense takes the events before it along: those are a beginning.
    one, other = [look(event) for event in whole], [look(event) for event in pieces]
    shared = min(len(one), len(other)) if refused else max(len(one), len(other))
    if one[:shared] != other[:shared]:
        raise AssertionError(f"when whole: {one}, in pieces: {other}")


def after_a_seed(data: bytes) -> None:
    """Run one input whose fifth byte chooses what the stream begins with: a seed, or nothing."""
    chosen = data[4:5].ljust(1, b"\0")[0] % (len(SEEDS) + 1)
    one_input(data[:4].ljust(4, b"\0") + b"".join(SEEDS[chosen : chosen + 1]) + data[5:])


def mutate(runs: int, seed: int) -> int:
    """Run mutations of valid streams; gives how many."""
    chance = random.Random(seed)
    for _ in range(runs):
        stream = bytearray(b"".join(chance.choices(SEEDS, k=chance.randint(1, 6))))
        for _ in range(chance.choice((0, 1, 1, 2, 5))):
            at = chance.randint(0, len(stream))
            stop = at + chance.choice((0, 0, 1, 1, 2, 20))
            new = (*SPLICES, chance.randbytes(chance.randint(1, 8)), chance.choice(SEEDS)[:9])
            stream[at:stop] = chance.choice(new)
        one_input(chance.randbytes(4) + stream)
    return runs


def main(arguments: list[str] | None = None) -> None:
    """Run as a program."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=100_000, help="how many inputs")
    options.add_argument("--seed", type=int, default=None, help="of the mutator without atheris")
    options.add_argument("--no-atheris", action="store_true", help="mutate, although it is there")
    chosen = options.parse_args(arguments)
    try:
        atheris: Any = None if chosen.no_atheris else importlib.import_module("atheris")
    except ImportError:
        atheris = None
    if atheris is not None:  # pragma: no cover - it is not among the tests' dependencies
        atheris.instrument_all()
        atheris.Setup([sys.argv[0], f"-atheris_runs={chosen.runs}"], after_a_seed)
        atheris.Fuzz()  # prints how many it has run, and ends the process
    seed = random.SystemRandom().randrange(1 << 32) if chosen.seed is None else chosen.seed
    print(f"{mutate(chosen.runs, seed)} inputs run, seed {seed}")  # noqa: T201 - a program's output


if __name__ == "__main__":
    main()
