"""In a process that gevent has patched: all that blocks is a greenlet's affair, with its time-outs.

Each program runs in a process of its own, which gevent has patched before anything was imported.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from objstore import LocalServer
from tests.support.forked import Forked
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.newest_server

PATCHED = "from gevent import monkey; monkey.patch_all()\n"

#: What the log says where a server goes and comes back.
OUTAGE = "(lost the connection|reconnected) to nats://127.0.0.1"

IMPORTS = """
import gc, os, sys, traceback, warnings
import gevent, objstore
from tests.support.scripted import ScriptedServer, connected

def all_of(*greenlets):
    assert len(gevent.joinall(greenlets, timeout=100)) == len(greenlets), "they hang"
    return [each.get() for each in greenlets]

def raised_by(call, *arguments):
    with gevent.Timeout(100, AssertionError("it hangs")):
        try:
            call(*arguments)
        except objstore.ObjStoreError as error:
            return error
    raise AssertionError("it raises nothing")

def in_a_child(function):
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        function()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
"""

BEGIN = """
url = sys.argv[1] if sys.argv[1:] else None
"""

Run = Callable[..., None]


@pytest.fixture(scope="module")
def patched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forked]:
    """What runs the programs: an interpreter that was patched, and then has imported objstore.

    gevent's loop is not there before a fork: each program begins its own.
    """
    with Forked(tmp_path_factory.mktemp("gevent"), PATCHED + IMPORTS) as forked:
        yield forked


@pytest.fixture
def run(patched: Forked) -> Run:
    """Run a program, which has to end by itself, in peace, and without a word.

    But for lines that begin with ``said``, a pattern, where it loses its server on purpose.
    """

    def run(program: str, *arguments: str, said: str = "") -> None:
        in_peace(*patched.run(BEGIN + program, *arguments), said)

    return run


def run_alone(program: str, *arguments: str, patience: float = PATIENCE) -> None:
    """Run a whole program by an interpreter of its own, with the same demands."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=patience,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parent.parent),
            "PYTEST_ADDOPTS": "",  # what is for the tests that run this is not for those it runs
        },
        check=False,
    )
    in_peace(done.returncode, done.stdout)


def in_peace(status: int, output: str, said: str = "") -> None:
    rest = [line for line in output.splitlines() if not (said and re.match(said, line))]
    assert (status, rest) == (0, []), output


@pytest.fixture
def url(server: LocalServer) -> str:
    """Where the session's server is."""
    return server.url


def test_objects(run: Run, url: str) -> None:
    """Large and small ones go there and back, are listed, and are read in parts."""
    program = """
data = os.urandom(9 << 20)
with objstore.connect(url) as client:
    store = client.object_store("gevent-objects")
    store.put("large", data)
    assert store.read_bytes("large") == data
    with store.get("large") as result:
        assert b"".join(iter(lambda: result.read(100_000), b"")) == data
        result.seek(5_000_001)
        assert result.read(7) == data[5_000_001:5_000_008]
    names = [f"small {number}" for number in range(300)]
    store.put_many((name, name.encode()) for name in names)
    assert list(store.get_many(names)) == [(name, name.encode()) for name in names]
    assert sorted(info.name for info in store.list()) == sorted(["large", *names])
    with store.open("written", "wb") as file:
        for at in range(0, len(data), 1_000_000):
            file.write(data[at : at + 1_000_000])
    assert store.read_bytes("written") == data
    store.delete("large")
    client.delete_store(store.name)
"""
    run(program, url)


def test_greenlets_share_a_client(run: Run, url: str) -> None:
    """Many use one client at the same time, and while they wait for the server, others run."""
    program = """
turns = 0
def turn():
    global turns
    while True:
        turns += 1
        gevent.sleep(0)

def work(number):
    data = bytes([number]) * (number * 200_000)
    for name in (f"{number}/a", f"{number}/b", f"{number}/a"):
        store.put(name, data)
        assert store.read_bytes(name) == data
    return number

with objstore.connect(url) as client:
    store = client.object_store("gevent-share")
    others = gevent.spawn(turn)
    assert all_of(*(gevent.spawn(work, number) for number in range(20))) == list(range(20))
    assert turns > 100, turns
    others.kill()
    assert len(list(store.list())) == 40
    assert client.connection.session.connects == 1
    client.delete_store(store.name)
"""
    run(program, url)


def test_watch(run: Run, url: str) -> None:
    """Changes come while others put; ``stop`` wakes who waits, and a time-out strikes."""
    program = """
with objstore.connect(url) as client:
    store = client.object_store("gevent-watch")
    store.put("before", b"x")
    watcher = store.watch()
    seen = []
    def watch():
        for info in watcher:
            seen.append(info.name)
    watching = gevent.spawn(watch)
    names = [f"n{number}" for number in range(50)]
    all_of(gevent.spawn(lambda: [store.put(name, b"x") for name in names]))
    with gevent.Timeout(100):
        while len(seen) < 51:
            gevent.sleep(0.01)
    assert seen == ["before", *names]
    watcher.stop()
    all_of(watching)
    with store.watch(updates_only=True) as watcher:
        assert isinstance(raised_by(watcher.next, 0.05), objstore.RequestTimeoutError)
    client.delete_store(store.name)
"""
    run(program, url)


def test_a_server_that_is_restarted(run: Run) -> None:
    """Greenlets that put and get wait for it, and go on; the server is a patched process's, too."""
    program = """
with objstore.LocalServer() as server, objstore.connect(server.url) as client:
    store = client.object_store("bucket")
    stop = False
    def work(number):
        data, rounds = os.urandom(2 << 20), 0
        while not stop:
            store.put(f"{number}", data)
            assert store.read_bytes(f"{number}") == data
            rounds += 1
        return rounds
    workers = [gevent.spawn(work, number) for number in range(4)]
    session = client.connection.session
    for connects in (1, 2):
        gevent.sleep(0.3)
        server.kill()
        gevent.sleep(0.1)
        server.start()
        with gevent.Timeout(100):
            while session.connects == connects or not client.connection.is_connected:
                gevent.sleep(0.01)
    stop = True
    assert all(all_of(*workers))
    assert session.connects >= 3
"""
    run(program, said=OUTAGE)


def test_time_outs(run: Run) -> None:
    """gevent's sockets know nothing of the kernel's time-outs: ours strike all the same."""
    program = """
def silent(peer):
    peer.accept(max_payload=1 << 26)
    peer.hold()

def greet_only(peer):
    peer.greet(tls_required=True)
    peer.hold()

for script in (lambda peer: peer.hold(), greet_only):
    with ScriptedServer(script) as server:
        error = raised_by(objstore.Connection(server.url, timeout=0.3).connect)
        assert "in time" in str(error), error

with ScriptedServer(silent) as server, connected(server.url) as connection:
    connection.timeout = 0.3
    assert isinstance(raised_by(connection.ping), objstore.RequestTimeoutError)

with ScriptedServer(silent) as server:  # it no longer answers: another connection is made
    with connected(server.url, ping_interval=0.1) as connection, gevent.Timeout(100):
        while connection.session.connects < 2:
            gevent.sleep(0.01)
        assert "no longer answers" in str(connection.session._lost)

with ScriptedServer(silent) as server:  # it reads nothing
    with connected(server.url, timeout=2.0, reconnect_timeout=0.3) as connection:
        error = raised_by(lambda: connection.publish("x", payload=bytes(1 << 26)))
        assert "stopped reading" in str(error), error
"""
    run(program, said=OUTAGE)


def test_the_receiving_time_out_is_not_the_sending_one(run: Run) -> None:
    """A socket of gevent's has one time-out: who receives and who sends have each their own."""
    program = """
import socket
from objstore.wire.connection.transport import Transport

def transport_and_peer(send_timeout, receive_timeout):
    ours, theirs = socket.socketpair()
    transport = Transport(ours, send_timeout)
    transport.set_receive_timeout(receive_timeout)
    return transport, theirs

buffer = memoryview(bytearray(10))
transport, peer = transport_and_peer(60, 0.05)
sending = gevent.spawn(transport.send, [bytes(1 << 22)])
for _ in range(5):
    try:
        transport.receive_into(buffer)
        raise AssertionError("nothing was sent")
    except TimeoutError:
        assert not sending.ready()
left = 1 << 22
while left:
    left -= len(peer.recv(1 << 20))
all_of(sending)

transport, peer = transport_and_peer(0.05, 60)
receiving = gevent.spawn(transport.receive_into, buffer)
for _ in range(5):
    try:
        transport.send([bytes(1 << 22)])
        raise AssertionError("it was not read")
    except TimeoutError:
        assert not receiving.ready()
peer.send(b"x")
assert all_of(receiving) == [1]
"""
    run(program)


def test_pings_are_answered(run: Run) -> None:
    """The server's PINGs are, also when nothing else is sent."""
    program = """
seen = []
def ping(peer):
    peer.accept()
    for _ in range(3):
        peer.send(b"PING\\r\\n")
        seen.append(peer.line())
    peer.hold()

with ScriptedServer(ping) as server, connected(server.url), gevent.Timeout(100):
    while seen != [b"PONG"] * 3:
        gevent.sleep(0.01)
"""
    run(program)


def test_a_greenlet_is_killed(run: Run, url: str) -> None:
    """Killed in a put, or by ``gevent.Timeout``: nothing of it remains, and others go on."""
    program = """
with objstore.connect(url) as client:
    store = client.object_store("gevent-kill")
    store.put("other", bytes(1 << 20))
    store.put("name", b"old")
    stop = False
    def read():
        while not stop:
            assert len(store.read_bytes("other")) == 1 << 20
        return "done"
    reading = gevent.spawn(read)
    for number in range(15):
        putting = gevent.spawn(store.put, "name", bytes(64 << 20))
        gevent.sleep(0.003 * number)
        putting.kill(timeout=100)
        assert putting.dead
        struck = isinstance(putting.value, gevent.GreenletExit)
        assert len(store.read_bytes("name")) == 3 or not struck
        store.put("name", b"old")
    try:
        with gevent.Timeout(0.02):
            store.put("name", bytes(256 << 20))
        raise AssertionError("it took no time")
    except gevent.Timeout:
        pass
    assert store.read_bytes("name") == b"old"
    stop = True
    assert all_of(reading) == ["done"]
    assert not store.collect_garbage(min_age=0).nuids
    client.delete_store(store.name)
"""
    run(program, url)


def test_fork(run: Run, url: str) -> None:
    """A child has a connection of its own, and the parent's is untouched. gevent's threads live
    on in a child, the reader of the parent's connection too: that must not make another."""
    program = """
client = objstore.connect(url)
store = client.object_store("gevent-fork")
data = os.urandom(3 << 20)
store.put("a", data)
seen = []
client.connection.subscribe("gevent-fork.news", callback=lambda m: seen.append(m.payload))
def child():
    store.put(f"{os.getpid()}", data)
    assert store.read_bytes("a") == data
    gevent.sleep(0.3)  # for the parent's reader to wake up here
    assert client.connection.session.connects == 2
    client.connection.publish("gevent-fork.news", payload=b"%d" % os.getpid())
    client.close()
children = []
for _ in range(3):
    children.append(in_a_child(child))
    assert store.read_bytes("a") == data
assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
with gevent.Timeout(100):
    while sorted(map(int, seen)) != sorted(children):
        gevent.sleep(0.01)
assert all(store.read_bytes(f"{pid}") == data for pid in children)
assert client.connection.session.connects == 1
client.delete_store(store.name)
client.close()
"""
    run(program, url)


def test_patched_after_a_fork(url: str) -> None:
    """As gunicorn does with an application that was loaded before: the client was made, and used,
    in the parent; the child is patched; then its greenlets use it at the same time."""
    program = """
import warnings
warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)  # that is what is tested
client = objstore.connect(url)
store = client.object_store("gevent-late")
store.put("a", b"x")
def child():
    from gevent import monkey
    monkey.patch_all()
    def work(number):
        data = bytes([number]) * (3 << 20)
        for _ in range(3):
            store.put(f"{number}", data)
            assert store.read_bytes(f"{number}") == data
        return number
    assert all_of(*(gevent.spawn(work, number) for number in range(6))) == list(range(6))
    assert client.connection.session.connects == 2
    client.close()
assert os.waitpid(in_a_child(child), 0)[1] == 0
assert store.read_bytes("a") == b"x"
client.delete_store(store.name)
client.close()
"""
    run_alone(IMPORTS + BEGIN + program, url)


def test_forgotten_in_the_loop(run: Run, url: str) -> None:
    """The garbage collector finds what nobody closed while gevent's own loop runs, where nothing
    may wait: all ends, and a connection that is in use goes on."""
    program = """
warnings.simplefilter("ignore", ResourceWarning)
gc.disable()
client = objstore.connect(url)
store = client.object_store("gevent-forgotten")
data = os.urandom(3 << 20)
store.put("a", data)
def forget():
    other = objstore.connect(url)
    other.connection.subscribe("x", callback=print)
    things = [other, other.connection, store.watch(), store.get("a")]
    things[-1].read(10)
    for thing in things:
        thing.myself = thing
forget()
gevent.get_hub().loop.run_callback(gc.collect)
gevent.sleep(0.5)
assert store.read_bytes("a") == data
assert client.connection.session.connects == 1
client.delete_store(store.name)
client.close()
"""
    run(program, url)


@pytest.mark.parametrize("state", ["idle", "watching", "putting", "reconnecting"])
def test_exit(run: Run, url: str, state: str) -> None:
    """The program ends, whatever its greenlets are at, though nobody closed anything."""
    program = """
warnings.simplefilter("ignore", ResourceWarning)
state = sys.argv[2]
server = objstore.LocalServer()
server.start()
client = objstore.connect(server.url)
store = client.object_store("gevent-exit")
started = gevent.event.Event()
if state == "watching":
    watcher = store.watch()
    gevent.spawn(list, watcher)
elif state == "putting":
    def endless():
        while True:
            started.set()
            yield bytes(1 << 20)
    gevent.spawn(store.put, "name", endless())
    assert started.wait(100)
elif state == "reconnecting":
    server.kill()
    gevent.spawn(store.put, "name", b"x")
gevent.sleep(0.1)
"""
    run("import gevent.event\n" + program, url, state, said=OUTAGE)


def test_tls() -> None:
    """The tests of TLS, once more: what is encrypted takes another road through the sockets."""
    program = """
import os, sys
import pytest
options = ["-q", "-n", "0", "-p", "no:cacheprovider", "-W", "default"]
sys.stdout = sys.stderr = open(os.devnull, "w")
sys.exit(pytest.main([*options, sys.argv[1]]))
"""
    tests = Path(__file__).parent / "wire" / "connection" / "test_tls.py"
    run_alone(PATCHED + program, str(tests), patience=5 * PATIENCE)


def test_it_is_gevents(run: Run) -> None:
    """What these tests rest on: the programs' sockets are gevent's, objstore's too."""
    program = """
from objstore.wire.connection import transport
assert transport.socket.socket.__module__.startswith("gevent")
with objstore.local() as client:
    assert isinstance(client.connection.session._link.transport._socket, transport._Cooperative)
"""
    run(program)
