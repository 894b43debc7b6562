"""The public face, by inspection: all that was promised is there, typed, and documented."""

from __future__ import annotations

import ast
import enum
import inspect
import io
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest

import objstore
from objstore import ObjStoreError

pytestmark = pytest.mark.newest_server

#: What users were promised: the names, what they take, and the defaults that they may rely on.
CONTRACT = """
def connect(servers=None, *, name=None, user=None, password=None, token=None, credentials=None,
            nkey_seed=None, tls=None, context=None, domain=None, timeout=5.0,
            reconnect_timeout=60.0, inbox_prefix="_INBOX", api_prefix=None, ca=None,
            lazy=False): ...
def local(data_dir=None, *, port=0, **connect_options): ...

class LocalServer:
    def __init__(self, data_dir=None, *, port=0, config=None): ...
    def start(self): ...
    def stop(self): ...
    def kill(self): ...
    url: str

class Client:
    def __init__(self, connection): ...
    def object_store(self, name, *, create=True, consistency="strong", **options): ...
    def update_store(self, name, **options): ...
    def list_stores(self): ...
    def clone_store(self, source, target, **options): ...
    def store_metrics(self, name): ...
    def delete_store(self, name): ...
    def close(self): ...

class ObjectStore:
    def put(self, meta, payload=None, *, description=None, mime=None, headers=None, metadata=None,
            chunk_size=None, ttl=None, if_revision=None, progress=None, timeout=None): ...
    def get(self, name, *, progress=None): ...
    def info(self, name, *, include_deleted=False): ...
    def delete(self, name): ...
    def list(self, *, prefix=None, include_deleted=False): ...
    def watch(self, *, include_history=False, ignore_deletes=False, updates_only=False): ...
    def status(self): ...
    def update(self, name, meta=None, *, new_name=None, description=..., mime=..., headers=...,
               metadata=...): ...
    def link(self, name, target): ...
    def link_store(self, name, bucket): ...
    def resolve(self, name): ...
    def seal(self): ...
    def destroy(self): ...
    def open(self, name, mode="rb", **put_options): ...
    def read_bytes(self, name): ...
    def read_text(self, name, encoding="utf-8"): ...
    def read_range(self, name, start, end): ...
    def get_many(self, names): ...
    def upload_file(self, path, name=None, **put_options): ...
    def download_file(self, name, path, *, resume=True, progress=None): ...
    def copy(self, name, new_name, *, target=None): ...
    def collect_garbage(self, *, min_age=..., dry_run=False): ...
    def verify(self, name=None): ...
    def __contains__(self, name): ...
    def __iter__(self): ...
    name: str

class ObjectMeta:
    def __init__(self, name, description=None, mime=None, max_chunk_size=None, headers=None,
                 metadata=None, options=None): ...
class ObjectMetaOptions:
    def __init__(self, link=None, chunk_size=None): ...
class ObjectLink:
    def __init__(self, bucket, name=None): ...
class Placement:
    def __init__(self, cluster, tags): ...
class Republish:
    def __init__(self, dest, src=None, headers_only=False): ...
class StreamSource:
    def __init__(self, name, opt_start_seq, opt_start_time, filter_subject, external): ...
class ExternalStream:
    def __init__(self, api, deliver): ...
class StreamInfo:
    def __init__(self, config, state, created, ts, alternates): ...
class StreamState:
    def __init__(self, messages, bytes, first_seq, first_ts, last_seq, last_ts, num_subjects,
                 subjects, num_deleted, deleted, lost, consumer_count): ...
class LostStreamData:
    def __init__(self, msgs, bytes): ...
class StreamAlternate: ...
class BucketOptions:
    def __init__(self, description, max_object_size, max_bytes, storage, replicas, ttl,
                 compression, placement, republish, mirror, sources, metadata): ...
class StorageType:
    FILE: str
    MEMORY: str
class StoreCompression:
    NONE: str
    S2: str

class ObjectInfo:
    bucket: str; name: str; description: str; mime: str; size: int; chunks: int; digest: str
    mtime: object; headers: object; metadata: object; deleted: bool; link: object
    options: object; nuid: str; revision: int
class ObjectStoreStatus:
    bucket: str; size: int; total_size: int; bytes: int; description: str; ttl: object
    storage: object; replicas: int; compression: object; sealed: bool; max_object_size: int
    metadata: object
    stream_info: object; backing_store: str
class StoreMetrics:
    objects: int; total_size: int; avg_size: float; mime_types: object
class ObjectResult:
    info: object; data: object; name: str; len: int
    def close(self): ...
    def read(self, size=-1): ...
    def read1(self, size=-1): ...
    def readinto(self, buffer): ...
    def seek(self, offset, whence=0): ...
    def tell(self): ...
    def readable(self): ...
    def seekable(self): ...
    def readline(self, size=-1): ...
    def __iter__(self): ...
class Watcher:
    caught_up: object
    def next(self, timeout=None): ...
    def stop(self): ...
    def __iter__(self): ...
class GarbageReport: ...
class VerifyReport: ...
class Connection:
    def publish(self, subject, *, payload=b"", headers=None): ...
    def subscribe(self, subject, *, callback): ...
    def unsubscribe(self, sub): ...
    def request(self, subject, *, payload=b"", headers=None): ...
    def ping(self): ...
    def reconnect(self): ...
    def close(self): ...
"""

#: The errors, each with what it is besides an ObjStoreError.
ERRORS: dict[str, type[BaseException]] = {
    "ObjectNotFoundError": FileNotFoundError,
    "BucketNotFoundError": ObjStoreError,
    "BucketConfigError": ObjStoreError,
    "BucketSealedError": ObjStoreError,
    "InvalidNameError": ValueError,
    "ObjectTooLargeError": ObjStoreError,
    "StorageFullError": ObjStoreError,
    "RevisionMismatchError": ObjStoreError,
    "ObjectExistsError": FileExistsError,
    "DigestMismatchError": ObjStoreError,
    "ObjectChangedError": ObjStoreError,
    "ObjectCorruptError": ObjStoreError,
    "LinkError": ObjStoreError,
    "APIError": ObjStoreError,
    "RequestTimeoutError": TimeoutError,
    "ConnectionLostError": ConnectionError,
    "AuthorizationError": ObjStoreError,
    "PermissionDeniedError": PermissionError,
    "ServerVersionError": ObjStoreError,
}

#: Classes that are not made by users, but got from a method, whose docstring says so.
GOT_FROM = {
    "ObjectResult": "ObjectStore.get",
    "ObjectStore": "Client.object_store",
    "ObjectWriter": "ObjectStore.open",
    "Watcher": "ObjectStore.watch",
}

#: What never raises anything of its own.
HARMLESS = {
    "Client.close",
    "Connection.after_fork",
    "Connection.auto_unsubscribe",
    "Connection.close",
    "Connection.unsubscribe",
    "LocalServer.kill",
    "LocalServer.stop",
    "ObjectInfo.with_changes",
    "ObjectWriter.after_fork",
    "Watcher.stop",
}


def promised() -> Iterator[tuple[str, ast.stmt]]:
    for statement in ast.parse(CONTRACT).body:
        assert isinstance(statement, (ast.FunctionDef, ast.ClassDef))
        yield statement.name, statement
        for inner in statement.body if isinstance(statement, ast.ClassDef) else ():
            if isinstance(inner, ast.FunctionDef):
                yield f"{statement.name}.{inner.name}", inner
            elif isinstance(inner, ast.AnnAssign):
                assert isinstance(inner.target, ast.Name)
                yield f"{statement.name}.{inner.target.id}", inner


PROMISED = dict(promised())


def public_callables() -> Iterator[tuple[str, Any]]:
    """Every public function and method, those that are inherited from within the package too."""
    for name in sorted(set(objstore.__all__)):
        thing = getattr(objstore, name)
        if not inspect.isclass(thing):
            if callable(thing):
                yield name, thing
            continue
        for part, member in inspect.getmembers(thing, callable):
            is_own = (getattr(member, "__module__", None) or "").startswith("objstore")
            if is_own and not part.startswith("_"):
                yield f"{name}.{part}", member


CALLABLES = dict(public_callables())
CLASSES = {
    name: thing for name in objstore.__all__ if inspect.isclass(thing := getattr(objstore, name))
}


def section(thing: object, *titles: str) -> dict[str, str]:
    """What a docstring says of each name in a section of it."""
    found: dict[str, str] = {}
    inside = False
    for line in (inspect.getdoc(thing) or "").splitlines():
        if line and not line.startswith(" "):
            inside = line.rstrip(":") in titles and line.endswith(":")
        elif inside and (match := re.match(r" {4}([\w, ]+): +(.*)", line)):
            found.update({name.strip(): match[2] for name in match[1].split(",")})
    return found


def parameters(function: Any) -> list[str]:
    found = inspect.signature(function).parameters
    return [name for name in found if name not in ("self", "cls")]


def resolve(path: str) -> Any:
    thing: Any = objstore
    for part in path.split("."):
        thing = getattr(thing, part)
    return thing


def is_attribute(owner: type, name: str) -> bool:
    return (
        hasattr(owner, name)
        or name in section(owner, "Attributes", "Arguments")
        or any(name in vars(base).get("__annotations__", {}) for base in owner.__mro__)
    )


@pytest.mark.parametrize("path", PROMISED)
def test_what_was_promised_is_there(path: str) -> None:
    statement = PROMISED[path]
    owner, _, part = path.rpartition(".")
    if isinstance(statement, ast.AnnAssign):
        assert is_attribute(resolve(owner), part)
        return
    assert (owner or path) in objstore.__all__
    thing = resolve(owner or path) if part == "__init__" else resolve(path)
    if not isinstance(statement, ast.FunctionDef):
        return
    there = inspect.signature(thing).parameters
    wanted = statement.args
    for argument in wanted.args + wanted.kwonlyargs:
        if argument.arg != "self":
            assert argument.arg in there
            is_named = argument in wanted.kwonlyargs
            assert is_named or there[argument.arg].kind is not inspect.Parameter.KEYWORD_ONLY
    if wanted.kwarg is not None:
        assert inspect.Parameter.VAR_KEYWORD in {each.kind for each in there.values()}
    late = wanted.args[len(wanted.args) - len(wanted.defaults) :]
    pairs = [
        *zip(late, wanted.defaults, strict=True),
        *zip(wanted.kwonlyargs, wanted.kw_defaults, strict=True),
    ]
    for argument, default in pairs:
        value = ... if default is None else ast.literal_eval(default)
        if value is not ...:
            assert there[argument.arg].default == value


@pytest.mark.parametrize("name", ERRORS)
def test_errors_that_were_promised(name: str) -> None:
    error = getattr(objstore, name)
    assert issubclass(error, ObjStoreError)
    assert issubclass(error, ERRORS[name])


@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_documented(name: str) -> None:
    """What it is, each of its arguments, and each public attribute."""
    thing = CLASSES[name]
    assert vars(thing).get("__doc__"), "it has no docstring of its own"
    for part, member in inspect.getmembers(thing, lambda each: isinstance(each, property)):
        is_own = member.fget.__module__.startswith("objstore")
        assert part.startswith("_") or not is_own or inspect.getdoc(member), part
    if issubclass(thing, (enum.Enum, BaseException)):
        return
    if name in GOT_FROM:
        method = resolve(GOT_FROM[name])
        assert name in f"{inspect.getdoc(method)} {method.__annotations__['return']}"
        return
    said = section(thing, "Arguments", "Attributes")
    assert [each for each in parameters(thing) if each not in said] == []


@pytest.mark.parametrize("path", CALLABLES)
def test_methods_are_documented(path: str) -> None:
    """What it does, each of its arguments, and what it raises."""
    function = CALLABLES[path]
    assert inspect.getdoc(function)
    owner, _, part = path.rpartition(".")
    if issubclass(CLASSES.get(owner, object), io.IOBase) and hasattr(io.BufferedIOBase, part):
        return  # what it takes and raises is known from Python's own files
    said = section(function, "Arguments")
    assert [each for each in parameters(function) if each not in said] == []
    raises = "Raises:" in inspect.getdoc(function)  # type: ignore[operator]
    assert raises is not (path in HARMLESS)


@pytest.mark.parametrize("path", CALLABLES)
def test_methods_are_typed(path: str) -> None:
    """Each argument and the result; mypy says whether that is true."""
    hints = getattr(CALLABLES[path], "__annotations__", {})
    assert [each for each in [*parameters(CALLABLES[path]), "return"] if each not in hints] == []


def test_py_typed() -> None:
    """Users' checkers look for this mark."""
    assert files("objstore").joinpath("py.typed").is_file()
