"""A program ends when it has nothing more to do, whatever its client, its server or its threads are
at, though it closed nothing. (An idle connection, a busy callback and a request under way:
../wire/connection/test_connection. Patched by gevent: ../test_gevent.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from objstore import LocalServer
from tests.support.forked import Forked

pytestmark = pytest.mark.newest_server

#: Seconds. A client whose every time-out is that long does not end within a test's patience, where
#: its end waits for one of them; however slow the machine is, it ends where nothing waits.
ENDLESS = 100_000.0

#: Seconds from the last line of the program to the end of its process, against a waiting for
#: something else than the client's time-outs: 0.1 s where nothing else runs.
MOST = 30.0

BEGIN = (
    f"ENDLESS = {ENDLESS}"
    + """
import os, signal, sys, threading, time, warnings
import objstore
warnings.simplefilter("ignore", ResourceWarning)  # nothing is closed, on purpose

def in_a_thread(function, *arguments):
    threading.Thread(target=function, args=arguments, daemon=True).start()

def busy(payload):
    began.set()
    while True:
        yield payload

began = threading.Event()
client = objstore.connect(sys.argv[1], timeout=ENDLESS, reconnect_timeout=ENDLESS)
store = client.object_store(sys.argv[2])
"""
)

END = """
print(time.time(), flush=True)
"""

STATES = {
    "idle": "",
    "after some work": """
store.put("a", bytes(1 << 20))
store.read_bytes("a")
""",
    "a put in a thread": """
in_a_thread(store.put, "endless", busy(bytes(1 << 17)))
began.wait()
time.sleep(0.2)
""",
    "a put that waits for its payload": """
def slow():
    yield bytes(1 << 20)
    began.set()
    threading.Event().wait()
in_a_thread(store.put, "slow", slow())
began.wait()
""",
    "a file half written": """
file = store.open("half", "wb")
file.write(bytes(3 << 20))
""",
    "a get in a thread": """
store.put("a", bytes(16 << 20))
def read():
    while True:
        with store.get("a") as result:
            while result.read(100_000):
                began.set()
in_a_thread(read)
began.wait()
""",
    "a result half read": """
store.put("a", bytes(16 << 20))
result = store.get("a")
result.read(10)
""",
    "a list half taken": """
store.put_many((f"{number}", b"x") for number in range(2_000))
infos = iter(store.list())
next(infos)
""",
    "a watch that waits": """
watcher = store.watch()
in_a_thread(list, watcher)
time.sleep(0.2)
""",
    "reconnecting": """
os.kill(int(sys.argv[3]), signal.SIGKILL)
in_a_thread(store.put, "a", b"x")
in_a_thread(store.info, "a")
watcher = threading.Thread(target=store.watch, daemon=True)
watcher.start()
while client.connection.is_connected:
    time.sleep(0.001)
time.sleep(0.2)
""",
    "a frozen server": """
os.kill(int(sys.argv[3]), signal.SIGSTOP)
in_a_thread(store.put, "a", bytes(32 << 20))
in_a_thread(store.info, "a")
time.sleep(0.2)
""",
    "a callback that never ends": """
def callback(message):
    began.set()
    threading.Event().wait()
client.connection.subscribe("a", callback=callback)
client.connection.publish("a")
began.wait()
""",
    "an error in the program": """
sys.excepthook = lambda *_: print(time.time(), flush=True)
watcher = store.watch()
raise RuntimeError
""",
}

#: The states that are the server's: those have one of their own.
OWN = ["reconnecting", "a frozen server"]


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forked]:
    """What runs the programs: an interpreter that has imported objstore."""
    first = "import objstore, threading, time, warnings; objstore.LocalServer\n"
    with Forked(tmp_path_factory.mktemp("exit"), first) as forked:
        yield forked


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server whose buckets may be left in any state."""
    with LocalServer() as server:
        yield server.url


def ends(forked: Forked, program: str, *arguments: str, status: int = 0) -> bool:
    """Run a program, and tell whether its process ended soon behind what it printed last."""
    ended_with, output = forked.run(program, *arguments)
    assert ended_with == status, output
    (printed,) = re.findall(r"^\d+\.\d+$", output, re.MULTILINE)  # beside what is logged
    return forked.ended - float(printed) < MOST


@pytest.mark.parametrize("state", [state for state in STATES if state not in OWN])
def test_exit(forked: Forked, url: str, state: str) -> None:
    """In whatever state."""
    status = 1 if "raise" in STATES[state] else 0
    bucket = state.replace(" ", "-")
    assert ends(forked, BEGIN + STATES[state] + END, url, bucket, status=status)


@pytest.mark.parametrize("state", OWN)
def test_exit_of_one_whose_server_is_gone(forked: Forked, state: str) -> None:
    with LocalServer() as server:
        arguments = server.url, "bucket", str(server.pid)
        assert ends(forked, BEGIN + STATES[state] + END, *arguments)


@pytest.mark.parametrize("state", ["idle", "a put in a thread", "a watch that waits"])
def test_with_a_server_of_its_own(forked: Forked, state: str) -> None:
    """A program that started a nats-server, and stops neither it nor the client."""
    own = "import objstore, sys\nserver = objstore.LocalServer()\nserver.start()\n"
    own += 'sys.argv[1:] = [server.url, "bucket", str(server.pid)]\n'
    assert ends(forked, own + BEGIN + STATES[state] + END)


def test_local(forked: Forked) -> None:
    """The same of ``objstore.local()``, which holds both."""
    own = f"import objstore, time\nclient = objstore.local(timeout={ENDLESS})\n"
    own += "client.object_store('b')\n"
    assert ends(forked, own + END)
