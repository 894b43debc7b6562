"""A program ends when it has nothing more to do, whatever its client, its server or its threads are
at, though it closed nothing. (An idle connection, a busy callback and a request under way:
../wire/test_connection. Patched by gevent: ../test_gevent.)
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from objstore import LocalServer
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.newest_server

#: Seconds from the last line of the program to the end of its process, and as long again as a
#: program without a client takes just then, three times. 0.1 s where nothing else runs; the promise
#: is 1 s, and a waiting of our own would be one of the connection's time-outs.
MOST = 2.0

#: So often it is looked, on a busy machine. A waiting of our own is there each time; that for a
#: processor is not.
TRIES = 10

BEGIN = """
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
client = objstore.connect(sys.argv[1], timeout=30)
store = client.object_store(sys.argv[2])
"""

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


def ended_after(program: str, *arguments: str, status: int = 0) -> float:
    """Run a program; seconds from what it printed last to the end of its process."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
        check=False,
    )
    ended = time.time()
    assert done.returncode == status
    return ended - float(done.stdout)


def ends_at_once(took: Callable[[], float]) -> bool:
    """Tell whether a program ends without waiting, by comparison with one that has no client."""
    return any(took() < MOST + 3 * ended_after("import objstore, time" + END) for _ in range(TRIES))


@pytest.mark.parametrize("state", STATES)
def test_exit(state: str) -> None:
    """In whatever state."""
    status = 1 if "raise" in STATES[state] else 0

    def took() -> float:
        with LocalServer() as server:
            arguments = server.url, "bucket", str(server.pid)
            return ended_after(BEGIN + STATES[state] + END, *arguments, status=status)

    assert ends_at_once(took)


@pytest.mark.parametrize("state", ["idle", "a put in a thread", "a watch that waits"])
def test_with_a_server_of_its_own(state: str) -> None:
    """A program that started a nats-server, and stops neither it nor the client."""
    own = "import objstore, sys\nserver = objstore.LocalServer()\nserver.start()\n"
    own += 'sys.argv[1:] = [server.url, "bucket", str(server.pid)]\n'
    assert ends_at_once(lambda: ended_after(own + BEGIN + STATES[state] + END))


def test_local() -> None:
    """The same of ``objstore.local()``, which holds both."""
    own = "import objstore, time\nclient = objstore.local()\nclient.object_store('b')\n"
    assert ends_at_once(lambda: ended_after(own + END))
