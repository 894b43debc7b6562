"""objstore beside other clients, and beside what a plain socket can do."""

from __future__ import annotations

import contextlib
import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pynats2

import objstore
from benchmarks.ground import MIB, Certificates, Ground
from benchmarks.peers.base import MIME, Peer, address_of
from benchmarks.peers.ours import Ours
from benchmarks.peers.raw import Raw, RawSocket
from benchmarks.peers.remote import Remote, install_node, node_command, python_command
from benchmarks.rounds import Contender
from benchmarks.run import Run
from objstore import ObjectStore

__all__ = ["endurance", "large", "limit", "open_peers", "small", "tls", "wire"]


def _commands(run: Run) -> dict[str, list[str]]:
    """Who can take part here, with what starts them; who cannot is noted."""
    commands = {"objstore": python_command("objstore")}
    if not run.scale.peers:
        run.skip("other clients: --no-peers")
        return commands
    for name, module in (("nats-py", "nats"), ("natsrpy", "natsrpy")):
        if importlib.util.find_spec(module):
            commands[name] = python_command(name)
        else:
            run.skip(f"{name} is not installed")
    if run.scale.quick:
        run.skip("@nats-io/obj: not in a quick run, for npm must install it")
    elif why_not := _install_node(run):
        run.skip(f"@nats-io/obj: {why_not}")
    else:
        commands["@nats-io/obj"] = node_command(run.ground.folder / "node")
    return commands


def _install_node(run: Run) -> str:
    """Have @nats-io/obj in the run's folder; why not, or an empty text."""
    if (run.ground.folder / "node").exists():
        return ""
    run.tell("npm install")
    return install_node(run.ground.folder / "node")


@contextlib.contextmanager
def open_peers(
    run: Run, store: ObjectStore | None = None, ground: Ground | None = None
) -> Iterator[list[tuple[Remote, ObjectStore]]]:
    """All who can take part, on one bucket, or each on one of its own where that is None.

    They are the run's ground's, where no other is given.

    A bucket each is for reads: other clients make a consumer for each, and a stream has room for
    1,000. Nobody shall die of the others' consumers.
    """
    with contextlib.ExitStack() as ending:
        peers: list[tuple[Remote, ObjectStore]] = []
        ground = ground or run.ground
        for name, command in _commands(run).items():
            bucket = store or ending.enter_context(ground.bucket())
            try:
                peer = Remote(name, command, ground.url, bucket.name, ground.variables)
            except (RuntimeError, OSError) as error:
                run.skip(f"{name} does not start: {type(error).__name__}: {error}")
                continue
            ending.callback(peer.close)
            peers.append((peer, bucket))
        yield peers


def _putting(peer: Peer, store: ObjectStore, data: bytes, count: int = 1) -> Contender:
    """Puts under new names; they are deleted after the turn, by objstore, in the same bucket."""

    def names(number: int) -> list[str]:
        return [f"put {peer.name} {number} {each}" for each in range(count)]

    def delete(number: int) -> None:
        for name in names(number):
            store.delete(name)

    peer.prepare(data)
    act: Callable[[int], object] = lambda number: peer.put(names(number), data)  # noqa: E731
    return Contender(f"put with {peer.name}", act, after=delete)


def _checked(act: Callable[[], int], expected: int) -> Callable[[int], None]:
    """Count what was read: who loses something has no rate."""

    def checked(_number: int) -> None:
        found = act()
        if found != expected:
            raise RuntimeError(f"{found} of {expected} were read")

    return checked


def _note(
    run: Run, kind: str, what: str, unit: str, amount: float, contenders: dict[str, Contender],
    **setting: Any,
) -> None:  # fmt: skip
    for who, contender in contenders.items():
        rates = contender.rates(amount)
        run.add(kind, who, what, unit, rates, note=contender.died, **setting)


def large(run: Run) -> None:
    """16 MiB: put and get into memory; everybody reads the same object of 128 KiB chunks.

    What is put goes into another bucket: the consumers that other clients leave behind for each
    get would make every put slower.
    """
    _put_and_get(run, "large", run.ground)


def tls(run: Run) -> None:
    """The same over TLS."""
    if importlib.util.find_spec("trustme") is None:
        run.skip("tls: trustme is not installed")
        return
    with tempfile.TemporaryDirectory() as folder, Ground(Certificates(Path(folder))) as ground:
        _put_and_get(run, "tls", ground)


def _put_and_get(run: Run, kind: str, ground: Ground) -> None:
    size = 16 * MIB
    data = run.data(size)
    with (
        ground.bucket() as written,
        ground.bucket() as read,
        open_peers(run, written, ground) as writers,
        open_peers(run, read, ground) as readers,
    ):
        read.put("object", data, mime=MIME, chunk_size=128 << 10)
        puts = {peer.name: _putting(peer, written, data) for peer, _ in writers}
        gets = {peer.name: _getting(peer, ["object"], size) for peer, _ in readers}
        run.alternate([*puts.values(), *gets.values()])
    _note(run, kind, "put", "MB/s", size / 1e6, puts, size=size)
    _note(run, kind, "get", "MB/s", size / 1e6, gets, size=size)


def limit(run: Run) -> None:
    """A large object: objstore beside a plain socket, at each chunk size, hashing or not."""
    size = run.scale.pick(256, 64) * MIB
    data = run.data(size)
    for chunk_size in (128 << 10, 512 << 10):
        with run.ground.bucket() as store, contextlib.ExitStack() as ending:
            ours = Ours(run.ground.server.url, store.name, chunk_size)
            ending.callback(ours.close)
            raws = [
                Raw(run.ground.server.url, store.name, chunk_size, hashing=hashing)
                for hashing in (True, False)
            ]
            for raw in raws:
                ending.callback(raw.close)
            store.put("object", data, mime=MIME, chunk_size=chunk_size)
            clients: tuple[Peer, ...] = (ours, *raws)
            puts = {each.name: _putting(each, store, data) for each in clients}
            gets = {
                "objstore": Contender("get", _checked(partial(ours.stream, ["object"]), size)),
                "objstore, read_bytes": _getting(ours, ["object"], size),
            }
            gets.update({raw.name: _getting(raw, ["object"], size) for raw in raws})
            run.alternate([*puts.values(), *gets.values()])
        for what, who in (("put", puts), ("get", gets)):
            _note(run, "limit", what, "MB/s", size / 1e6, who, size=size, chunk_size=chunk_size)


#: Objects of 1 KiB: so many are in a bucket that is listed, and so many are put or got in a turn.
LISTED, IN_A_TURN = 1_000, 100


def small(run: Run) -> None:
    """1 KiB objects: put, get and info one by one, get_many, put_many, and a list of 1,000."""
    data = run.data(1 << 10)
    # More gets would need more than 1,000 consumers in some clients.
    count = min(IN_A_TURN, 900 // (run.scale.rounds + 1))
    objects = [f"object {number}" for number in range(LISTED)]
    puts, gets, infos = (dict[str, Contender]() for _ in range(3))
    with contextlib.ExitStack() as ending:
        bucket = ending.enter_context(run.ground.bucket())
        raw = ending.enter_context(contextlib.closing(_raw(run, bucket)))
        peers = ending.enter_context(open_peers(run))
        contenders: list[tuple[Peer, ObjectStore]] = [*peers, (raw, bucket)]
        for peer, store in contenders:
            with contextlib.closing(_raw(run, store)) as filler:
                filler.fill(objects, data)
            puts[peer.name] = _putting(peer, store, data, count)
            gets[peer.name] = _getting(peer, objects[:count], count << 10)
            infos[peer.name] = Contender(f"info with {peer.name}", _infos(peer, objects[:count]))
        together = objects[: run.scale.pick(LISTED, 400)]
        several, one = _many(run, peers[0][0], together, data)
        for each in (puts, gets, infos, {**several, "get one by one": one}):
            run.alternate(list(each.values()))
    unit = "objects/s"
    for what, by_client in (("put", puts), ("get", gets), ("info", infos)):
        _note(run, "small", what, unit, count, by_client)
    for what, contender in several.items():
        run.add(
            "small", "objstore", what, unit, contender.rates(len(together)), note=contender.died
        )
    run.add("small", "objstore", "get one by one", unit, one.rates(len(together)), note=one.died)
    _lists(run, objects, data)


def _raw(run: Run, store: ObjectStore) -> Raw:
    raw = Raw(run.ground.server.url, store.name)
    raw.name = "raw socket"
    return raw


def _getting(peer: Peer, names: list[str], size: int) -> Contender:
    return Contender(f"get with {peer.name}", _checked(lambda: peer.get(names), size))


def _infos(peer: Peer, names: list[str]) -> Callable[[int], None]:
    return lambda _number: peer.info(names)


def _many(
    run: Run, ours: Remote, names: list[str], data: bytes
) -> tuple[dict[str, Contender], Contender]:
    """get_many, puts without a media type, and put_many where this objstore has it.

    And as many gets one by one beside them.
    """
    size = len(names) * len(data)
    many = {"get_many": Contender("get_many", _checked(partial(ours.get_many, names), size))}

    def put_plain(number: int) -> None:
        ours.put_plain([f"{number} plain {name}" for name in names], data)

    many["put, no media type"] = Contender("put_plain", put_plain)
    if hasattr(ObjectStore, "put_many"):

        def put_many(number: int) -> None:
            ours.put_many([f"{number} {name}" for name in names], data)

        many["put_many"] = Contender("put_many", put_many)
    else:
        run.skip("put_many: this objstore has none")
    return many, _getting(ours, names, size)


def _lists(run: Run, names: list[str], data: bytes) -> None:
    """A list of 1,000 objects; everybody lists the same bucket."""
    with contextlib.ExitStack() as ending:
        bucket = ending.enter_context(run.ground.bucket())
        raw = ending.enter_context(contextlib.closing(_raw(run, bucket)))
        raw.fill(names, data)
        peers: list[Peer] = [peer for peer, _ in ending.enter_context(open_peers(run, bucket))]
        lists = {
            peer.name: Contender(f"list with {peer.name}", _checked(peer.list, len(names)))
            for peer in (*peers, raw)
        }
        run.alternate(list(lists.values()))
    _note(run, "small", "list 1,000", "objects/s", len(names), lists)


#: So many gets in a row are more than the 1,000 consumers that a stream has room for.
ENOUGH_GETS = 1_200


def endurance(run: Run) -> None:
    """How many 1 KiB gets a client can make in a row, of 1,200."""
    names = [f"object {number}" for number in range(100)]
    data = run.data(1 << 10)
    with open_peers(run) as peers:
        for peer, store in peers:
            with contextlib.closing(_raw(run, store)) as raw:
                raw.fill(names, data)
            done, died = 0, ""
            while done < ENOUGH_GETS and not died:
                run.tell(f"{peer.name}: {done} gets")
                try:
                    peer.get(names[:20])
                    done += 20
                except Exception as error:  # noqa: BLE001 - that is what is looked for
                    died = f"{type(error).__name__}: {error}"[:160]
            what = "gets in a row"
            run.add("endurance", peer.name, what, "gets", (float(done),), note=died)


def wire(run: Run) -> None:
    """Plain publishes of 128 KiB that nobody stores: pynats2, objstore's connection, a socket."""
    payload, count = run.data(128 << 10), 400
    url = run.ground.server.url
    connection = run.ground.client.connection
    host, port, token = address_of(url)
    with (
        pynats2.NATSClient(f"nats://{token}@{host}:{port}") as theirs,
        contextlib.closing(_RawPublish(url)) as raw,
    ):

        def publish(client: Any) -> Callable[[int], None]:
            def act(_number: int) -> None:
                for _ in range(count):
                    client.publish("bench", payload=payload)
                client.request("bench.end", payload=b"")

            return act

        contenders = {
            "objstore": Contender("publish with objstore", publish(connection)),
            "pynats2": Contender("publish with pynats2", publish(theirs)),
            "raw socket": Contender("publish with a socket", publish(raw)),
        }
        with _echo(run, "bench.end"):
            run.alternate(list(contenders.values()))
    _note(run, "wire", "publish", "MB/s", count * len(payload) / 1e6, contenders)


@contextlib.contextmanager
def _echo(run: Run, subject: str) -> Iterator[None]:
    """Answer the request that ends each turn: the server has read all that came before it."""
    with objstore.connect(run.ground.server.url) as client:
        connection = client.connection

        def answer(message: Any) -> None:
            connection.publish(message.reply, payload=b"")

        connection.subscribe(subject, callback=answer)
        yield


class _RawPublish:
    """Publishes with a plain socket."""

    def __init__(self, url: str) -> None:
        self._wire = RawSocket(url)

    def publish(self, subject: str, *, payload: bytes, reply: str = "") -> None:
        head = f"PUB {subject} {reply} {len(payload)}\r\n".encode()
        self._wire.socket.sendmsg([head, payload, b"\r\n"])

    def request(self, subject: str, *, payload: bytes) -> None:
        self.publish(subject, payload=payload, reply=self._wire.inbox)
        self._wire.message()

    def close(self) -> None:
        self._wire.socket.close()
