"""What all tests share: a real nats-server for the session, a fresh bucket for each test."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import objstore
from objstore import Client, LocalServer, ObjectStore
from tests.support.bytecode import compile_tests
from tests.support.ownership import Inspector, WatchedClient
from tests.support.proxy import Proxy
from tests.support.servers import server_of_version

_numbers = itertools.count(1)

#: Processes that share the tests: most of the time a test waits for a server or a time-out.
WORKERS = 4

# How many examples hypothesis tries: few in each run of all tests, since each run tries others;
# ``--hypothesis-profile thorough`` tries many. How long one takes is never a failure.
for profile, examples in ("ordinary", 50), ("thorough", 1000):
    settings.register_profile(
        profile,
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile("ordinary")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--nats-server VERSION``: run on that nats-server, from its wheel."""
    parser.addoption(
        "--nats-server",
        metavar="VERSION",
        help="an older nats-server to test on, such as 2.10.26 (default: the one installed); "
        "tests marked newest_server are left out",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Let every LocalServer of the run be of the version asked for; Ctrl-C and bytecode be kept.

    The run starts some 200 interpreters, which all read the same modules. Where the environment
    says that nothing is to be written beside them, each compiles them anew: a minute in all.
    """
    # A shell that starts the run in the background lets it ignore Ctrl-C, which many tests send.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(config, "cache") and "PYTHONDONTWRITEBYTECODE" in os.environ:
        del os.environ["PYTHONDONTWRITEBYTECODE"]
        sys.pycache_prefix = str(config.cache.mkdir("bytecode"))
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
        sys.dont_write_bytecode = False
    version = config.getoption("--nats-server")
    if version:
        os.environ["OBJSTORE_NATS_SERVER"] = str(server_of_version(version))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """How many processes share the tests, where ``-n`` does not say.

    None for some test files, or single tests: those are run here at once, which is sooner than
    processes are up that each collect them, and where ``-s`` and a debugger are of use.
    """
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None  # pytest-xdist itself reads it
    files = [str(argument).partition("::")[0].endswith(".py") for argument in config.args]
    return 0 if all(files) else WORKERS


def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Compile what is not compiled yet, before all processes that share the tests read all of it.

    On a fresh checkout each would compile each file at the same moment as the others.
    """
    if not sys.dont_write_bytecode:
        compile_tests(config.rootpath, config.args)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On an older server leave out what is the same on every server."""
    if config.getoption("--nats-server"):
        left_out = [item for item in items if item.get_closest_marker("newest_server")]
        items[:] = [item for item in items if not item.get_closest_marker("newest_server")]
        config.hook.pytest_deselected(items=left_out)


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what pytest itself holds to the end of the run.

    A collection walks some 9,000 tests and all modules otherwise, which takes 0.3 s each time
    that a test asks for one: the benchmarks' turns do so before each.
    """
    gc.freeze()


def version_of(server: LocalServer) -> tuple[int, ...]:
    """A server's version, to compare."""
    return tuple(int(part) for part in server.version.split("-")[0].split("."))


@pytest.fixture(autouse=True)
def _needs_server(request: pytest.FixtureRequest) -> None:
    """Skip what is marked ``needs_server("2.11")`` on an older one, where it cannot exist."""
    marker = request.node.get_closest_marker("needs_server")
    if marker is None:
        return
    server: LocalServer = request.getfixturevalue("server")
    needed = tuple(int(part) for part in marker.args[0].split("."))
    if version_of(server) < needed:
        pytest.skip(f"nats-server {server.version} has no such feature (since {marker.args[0]})")


@pytest.fixture(scope="session")
def running_server() -> Iterator[LocalServer]:
    """The process behind :func:`server`, which some tests have a name for of their own.

    Its files are in memory where there is much of it: 3,000 buckets are made and deleted, which
    takes 5 ms each in place of 8, and three quarters of the processor's time.
    """
    with tempfile.TemporaryDirectory(dir=_memory()) as folder, LocalServer(folder) as server:
        yield server


def _memory() -> Path | None:
    """A file system in memory that holds all that the tests store at a time, if there is one."""
    shared = Path("/dev/shm")
    return shared if shared.is_dir() and shutil.disk_usage(shared).free > 8 << 30 else None


@pytest.fixture(scope="session")
def inspector(running_server: LocalServer) -> Iterator[Inspector]:
    """Looks for chunks that nobody owns; at the end of the run over all buckets there are."""
    inspector = Inspector(running_server.url)
    yield inspector
    try:
        inspector.look_everywhere()
    finally:
        inspector.close()


@pytest.fixture(scope="session")
def server(running_server: LocalServer, inspector: Inspector) -> LocalServer:
    """The session's nats-server. A missing one fails the run; nothing is skipped."""
    return running_server


@pytest.fixture(autouse=True)
def _no_chunk_without_an_owner(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test leaves in the session's server is somebody's, or it says why not."""
    if "inspector" not in request.fixturenames:
        yield
        return
    inspector: Inspector = request.getfixturevalue("inspector")
    inspector.test = request.node.nodeid
    inspector.lenient = request.node.get_closest_marker("leaves_chunks") is not None
    yield
    try:
        inspector.look_around()
    finally:
        inspector.test, inspector.lenient = "the whole run", False


@pytest.fixture(scope="session")
def shared_client(server: LocalServer, inspector: Inspector) -> Iterator[Client]:
    """One client for the tests that do nothing to the connection itself."""
    with WatchedClient(server.url, inspector) as client:
        yield client


@pytest.fixture
def client(server: LocalServer, inspector: Inspector) -> Iterator[Client]:
    """A client of the test's own."""
    with WatchedClient(server.url, inspector) as client:
        yield client


@pytest.fixture
def store(shared_client: Client) -> Iterator[ObjectStore]:
    """A fresh bucket, gone after the test."""
    store = shared_client.object_store(f"test-{next(_numbers)}")
    yield store
    shared_client.delete_store(store.name)


@pytest.fixture
def proxy(server: LocalServer) -> Iterator[Proxy]:
    """A network between client and server that can be made to fail."""
    with Proxy(server.url) as proxy:
        yield proxy


@pytest.fixture
def far_client(proxy: Proxy) -> Iterator[Client]:
    """A client behind the proxy, which does not wait long for an answer."""
    with objstore.connect(proxy.url, timeout=1.0, reconnect_timeout=10.0, lazy=True) as client:
        # Connects now, with the patience of a first use: dialled at once, it has a second.
        assert client.connection.session.connects == 1
        yield client


@pytest.fixture
def far_store(far_client: Client, store: ObjectStore) -> ObjectStore:
    """The test's bucket, seen from behind the proxy."""
    return far_client.object_store(store.name, create=False)
