"""The house keeps its floors: who may import whom, and what stands in which room alone."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import objstore

pytestmark = pytest.mark.newest_server

#: The floors, top first; a folder stands for all its files. A file imports only from floors below
#: its own, or from its own folder, where imports form no circle. "" is the package itself: the
#: public names. A fixed order of some dozen folders is easier to keep in mind, and to mend, than
#: one of 118 files, of which there were 53 floors.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("cli.completion", "cli.screen", "cli.typed"),
    ("contrib", "testing"),
    ("",),
    ("local_server",),
    ("shared", "folders"),
    ("connecting",),
    ("client",),
    ("store",),
    ("care",),
    ("put", "get"),
    ("metadata",),
    ("model",),
    ("wire.jetstream",),
    ("notebook",),
    ("wire.connection",),
    ("wire.codec",),
    ("wire", "progress", "readable", "uncopied"),
    ("events",),
    ("errors",),
    ("pynats2_compat", "version"),
)

#: What the command line and contrib may import beside each other: the public names, the documented
#: modules, and how numbers and texts are written for people.
FACES = ("__main__", "cli", "contrib", "testing")
PUBLIC = {"", "events", "folders", "readable", "version"}

#: What the codec must not know, directly.
IMPURE = {"socket", "ssl", "select", "selectors", "threading", "time", "random", "asyncio"}
PURE_ROOMS = (
    "wire.codec",
    "wire.connection.arguments",
    "wire.jetstream.stored_headers",
    "wire.jetstream.times",
    "model",
    "get.layout",
    "contrib.ranges",
)

#: Modules of Python's that only some rooms may import.
RESERVED = {
    "socket": {"wire.connection.transport", "contrib.public_addresses"},  # the latter resolves
    "select": {"wire.connection.transport"},
    "ssl": {
        *(f"wire.connection.{name}" for name in
          ("transport", "dial", "auth", "contexts", "connection")),
        "connecting",  # names ssl.SSLContext in its signature
    },
}  # fmt: skip

#: Text that stands in one room only, as a part of any string …
OWN_TEXT = {"$JS.API": "wire.jetstream"}
#: … and as a whole string: those names of ADR-20's JSON, and of JetStream's requests, that have no
#: other meaning. (The command line's own JSON calls a nuid what it is.)
OWN_WORDS = {
    "max_chunk_size": {"model.record_json"},
    "nuid": {"model.record_json", "cli.screen.show"},
    "next_by_subj": {"wire.jetstream.direct", "wire.jetstream.reads"},
    "last_by_subj": {"wire.jetstream.api", "wire.jetstream.reads"},
    "multi_last": {"wire.jetstream.direct"},
    "subjects_filter": {f"wire.jetstream.{name}" for name in ("api", "pages", "reads")},
}

#: Files in a folder, lines of a file, lines of a function, at the most.
MAX_FILES, MAX_FILE, MAX_FUNCTION = 20, 500, 60

#: The page that users read: every public method of a bucket.
LONG_FILES = {"store.store"}

ROOT = Path(objstore.__file__).parent


def room_of(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


ROOMS = {room_of(path): path for path in sorted(ROOT.rglob("*.py"))}


@cache
def tree_of(room: str) -> ast.Module:
    """The parsed file of a room: once for all rules."""
    return ast.parse(ROOMS[room].read_text(encoding="utf-8"))


def is_in(room: str, folder: str) -> bool:
    """Whether a room is a folder, or in it."""
    return room == folder or (bool(folder) and room.startswith(f"{folder}."))


def is_face(room: str) -> bool:
    """Whether a room is made of the public names."""
    return any(is_in(room, face) for face in FACES)


def folder_of(room: str) -> str | None:
    """The entry of :data:`FLOORS` that a room belongs to: the innermost."""
    found = [folder for floor in FLOORS for folder in floor if is_in(room, folder)]
    return max(found, key=len, default=None)


def floor_of(room: str) -> int | None:
    """The number of a room's floor, counted from the top."""
    folder = folder_of(room)
    return next((number for number, floor in enumerate(FLOORS) if folder in floor), None)


def imported(room: str, tree: ast.AST) -> Iterator[str]:
    """The full names of all modules that a room imports, wherever in it."""
    package = ("objstore", *room.split(".")) if room else ("objstore",)
    if ROOMS[room].name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield whole if whole.removeprefix("objstore.") in ROOMS else base


@cache
def names_imported(room: str) -> frozenset[str]:
    return frozenset(imported(room, tree_of(room)))


def rooms_imported(room: str) -> set[str]:
    names = names_imported(room)
    own = {name for name in names if name == "objstore" or name.startswith("objstore.")}
    return {name.removeprefix("objstore").removeprefix(".") for name in own}


def strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every text and its line, docstrings excluded."""
    docstrings = set()
    for node in ast.walk(tree):
        for statement in (
            getattr(node, "body", None) or [] if not isinstance(node, ast.expr) else []
        ):
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                docstrings.add(id(statement.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            if isinstance(node.value, str):
                yield node.lineno, node.value
            elif isinstance(node.value, bytes):
                yield node.lineno, node.value.decode("latin-1")


def function_sizes(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Each function's name and its lines, from ``def`` to its end, without its docstring."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if ast.get_docstring(node, clean=False) is not None:
                first = node.body[0]
                lines -= (first.end_lineno or first.lineno) - first.lineno + 1
            yield node.name, lines


# --- the rules: each names all that break it


def test_every_room_has_a_floor() -> None:
    homeless = [str(ROOMS[room].relative_to(ROOT)) for room in ROOMS if floor_of(room) is None]
    assert not homeless, (
        f"{homeless} are in no folder of FLOORS in tests/test_floors.py; each belongs above all "
        "that it imports, below all that imports it"
    )


def upward(room: str) -> Iterator[str]:
    """Each import of a room that does not run downward."""
    mine = floor_of(room)
    for other in sorted(rooms_imported(room)):
        theirs = floor_of(other)
        if folder_of(other) != folder_of(room) and (mine is None or not mine < (theirs or 0)):
            yield f"{room or 'objstore'} (floor {mine}) imports {other} (floor {theirs})"


def test_imports_run_downward() -> None:
    assert [line for room in ROOMS for line in upward(room)] == []


def private_names(room: str) -> Iterator[str]:
    """What a room takes from the package that users' programs are not offered."""
    yield from (name for name in rooms_imported(room) - PUBLIC if not is_face(name))
    for node in ast.walk(tree_of(room)):
        if isinstance(node, ast.ImportFrom) and node.module == "objstore":
            names = {alias.name for alias in node.names}
            yield from names - {*objstore.__all__, *PUBLIC, *FACES}


def test_what_users_could_have_written_stands_on_public_names() -> None:
    """What it needs from below, users' own programs need, too."""
    found = {room: sorted(private_names(room)) for room in ROOMS if is_face(room)}
    assert {room: names for room, names in found.items() if names} == {}


def test_imports_form_no_circle() -> None:
    """Inside a folder, too."""
    TopologicalSorter({room: rooms_imported(room) - {room} for room in ROOMS}).prepare()


def test_no_folder_is_too_full() -> None:
    files = Counter(str(path.parent.relative_to(ROOT.parent)) for path in ROOMS.values())
    assert {folder: count for folder, count in files.items() if count > MAX_FILES} == {}


def top_level(room: str) -> set[str]:
    """The first parts of what a room imports: the packages."""
    return {name.partition(".")[0] for name in names_imported(room)}


def test_the_pure_rooms_import_nothing_impure() -> None:
    pure = [room for room in ROOMS if any(is_in(room, folder) for folder in PURE_ROOMS)]
    assert len(pure) > len(PURE_ROOMS)
    found = {room: top_level(room) & IMPURE for room in pure}
    assert {room: names for room, names in found.items() if names} == {}


def test_reserved_modules() -> None:
    """Sockets are the transport's alone; TLS is known to those who prepare it."""
    found = {
        module: {room for room in ROOMS if module in top_level(room)} - allowed
        for module, allowed in RESERVED.items()
    }
    assert found == {module: set() for module in RESERVED}


def foreign_text(room: str) -> Iterator[str]:
    """Each string of a room that belongs to another."""
    for line, text in strings(tree_of(room)):
        for part, owner in OWN_TEXT.items():
            if part in text and not is_in(room, owner):
                yield f"{room}:{line} has {part!r} of {owner}"
        owners = OWN_WORDS.get(text, {room})
        if room not in owners:
            yield f"{room}:{line} has the word {text!r} of {owners}"


def test_own_text() -> None:
    """JetStream's subjects and ADR-20's names are known to one room each."""
    assert [line for room in ROOMS for line in foreign_text(room)] == []


def test_no_file_is_too_long() -> None:
    """A longer one is two rooms."""
    lines = {room: len(path.read_bytes().splitlines()) for room, path in ROOMS.items()}
    assert {
        room: count for room, count in lines.items() if count > MAX_FILE and room not in LONG_FILES
    } == {}


def test_no_function_is_too_long() -> None:
    """A longer one is two functions."""
    assert [
        f"{name}() of {room} has {lines} lines"
        for room in ROOMS
        for name, lines in function_sizes(tree_of(room))
        if lines > MAX_FUNCTION
    ] == []


# --- the rules notice


def test_imports_are_found_in_every_form(monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
import os.path, socket as s
from objstore import wire, __version__
from objstore.wire.codec import protocol, headers
from . import connecting
from .wire.connection.dial import dial
if TYPE_CHECKING:
    from objstore.store.store import ObjectStore
def f():
    from objstore.put.source import Source
"""
    monkeypatch.setitem(ROOMS, "room", ROOT / "room.py")
    assert set(imported("room", ast.parse(code))) == {
        "os.path", "socket", "objstore.wire", "objstore", "objstore.wire.codec.protocol",
        "objstore.wire.codec.headers", "objstore.connecting", "objstore.wire.connection.dial",
        "objstore.store.store", "objstore.put.source",
    }  # fmt: skip


def test_relative_imports_of_a_room_below(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ROOMS, "wire.room", ROOT / "wire" / "room.py")
    code = "from . import codec\nfrom .. import errors\nfrom ..pynats2_compat import x\n"
    found = set(imported("wire.room", ast.parse(code)))
    assert found == {"objstore.wire.codec", "objstore.errors", "objstore.pynats2_compat"}


def test_strings_leave_docstrings_out() -> None:
    code = '''
"""$JS.API of a module"""
X = "a"
class C:
    """of a class"""
    x: int = f"b{X}" + b"c".decode()
    """of an attribute"""
    f = lambda: "d"
'''
    assert {text for _, text in strings(ast.parse(code))} == {"a", "b", "c", "d"}


def test_function_sizes_leave_docstrings_out() -> None:
    code = 'def f():\n    """A\n\n    b.\n    """\n    return 1\n\n\ndef g():\n    return 1\n'
    assert dict(function_sizes(ast.parse(code))) == {"f": 2, "g": 2}


def test_a_room_without_a_floor_is_noticed() -> None:
    assert floor_of("no.such.room") is None
    assert floor_of("getting") is None  # though there is a folder "get"
