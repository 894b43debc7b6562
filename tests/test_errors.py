"""The tree of errors: its drawing, its builtin bases, its attributes, and JetStream's numbers."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import pytest

import objstore
from objstore import errors, pynats2_compat
from objstore.errors import (
    APIError,
    BucketConfigError,
    BucketNotFoundError,
    BucketSealedError,
    DigestMismatchError,
    NoRespondersError,
    ObjStoreError,
    RequestTimeoutError,
    RevisionMismatchError,
    StorageFullError,
    about,
    api_error,
)

pytestmark = pytest.mark.newest_server

TREE = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ObjStoreError)
]

every_error = pytest.mark.parametrize("kind", TREE, ids=[kind.__name__ for kind in TREE])


def drawn() -> dict[str, tuple[str, set[str]]]:
    """Each class of the module docstring's drawing: its parent there, and its other bases."""
    drawing: dict[str, tuple[str, set[str]]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        entry = re.match(r"    ( *)(?:[├└]─ |(?:│ *)+[├└]─ )?([\w.]+)(?: +also (.*))?", line)
        if entry is None or not re.search(r"Error\b", line):
            continue
        depth = (entry.start(2) - 4 + 3) // 4
        name = entry[2].removeprefix("pynats2.")
        del path[depth:]
        others = set(re.findall(r"\b\w*Error\b|\bNATS\w+", entry[3] or ""))
        drawing[name] = (path[-1] if path else "", others)
        path.append(name)
    return drawing


def test_the_drawing_is_the_tree() -> None:
    """The docstring shows each class, below its parent, with all its other bases."""
    real = {
        kind.__name__: (
            kind.__bases__[0].__name__, {base.__name__ for base in kind.__bases__[1:]}
        )
        for kind in TREE
    }  # fmt: skip
    assert drawn() == {"NATSError": ("", set()), **real}


def test_all_are_public() -> None:
    assert {kind.__name__ for kind in TREE} | {"api_error"} == set(errors.__all__)
    assert list(errors.__all__) == sorted(errors.__all__)
    for kind in TREE:
        assert getattr(objstore, kind.__name__) is kind


@every_error
def test_the_root_catches_all(kind: type[ObjStoreError]) -> None:
    assert issubclass(kind, pynats2_compat.NATSError)
    with pytest.raises(ObjStoreError):
        raise kind("x")


@every_error
def test_every_error_says_what_it_is(kind: type[ObjStoreError]) -> None:
    assert kind.__doc__
    assert kind.__module__ == "objstore.errors"


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        ("ObjectNotFoundError", FileNotFoundError),
        ("ObjectExistsError", FileExistsError),
        ("ObjectTooLargeError", ValueError),
        ("InvalidNameError", ValueError),
        ("InvalidPayloadError", TypeError),
        ("IncompletePayloadError", EOFError),
        ("InvalidOptionError", ValueError),
        ("InvalidServerURLError", pynats2_compat.NATSInvalidUrlError),
        ("InvalidServerURLError", pynats2_compat.NATSInvalidSchemeError),
        ("MissingDependencyError", ImportError),
        ("BucketNotFoundError", FileNotFoundError),
        ("PermissionDeniedError", PermissionError),
        ("RequestTimeoutError", TimeoutError),
        ("RequestTimeoutError", pynats2_compat.NATSRequestTimeoutError),
        ("NoRespondersError", TimeoutError),
        ("ConnectionLostError", ConnectionError),
        ("ConnectionLostError", pynats2_compat.NATSConnectionError),
        ("ConnectionClosedError", ConnectionError),
        ("ProtocolError", pynats2_compat.NATSUnexpectedResponse),
        ("TLSRequiredError", pynats2_compat.NATSTLSConnectionRequiredError),
        ("TLSUnavailableError", pynats2_compat.NATSTCPConnectionRequiredError),
    ],
)
def test_who_catches_the_builtin_catches_ours(kind: str, base: type[Exception]) -> None:
    with pytest.raises(base, match="what happened"):
        raise getattr(errors, kind)("what happened")


@every_error
def test_message_and_attributes(kind: type[ObjStoreError]) -> None:
    """The message is what is shown; attributes that do not apply are None."""
    error = kind("what happened", bucket="B", code=404)
    assert str(error) == error.message == error.line == "what happened"
    assert error.args == ("what happened",)
    assert (error.bucket, error.code) == ("B", 404)
    assert (error.name, error.subject, error.err_code, error.description) == (None,) * 4
    assert "what happened" in repr(error)
    assert str(kind()) == ""


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("ObjectTooLargeError", ["limit"]),
        ("DigestMismatchError", ["expected", "actual"]),
        ("RevisionMismatchError", ["expected", "actual"]),
        ("BucketConfigError", ["differences"]),
        ("ServerVersionError", ["needed", "version"]),
        ("ServerStartError", ["log"]),
        ("RequestTimeoutError", ["timeout"]),
        ("NoRespondersError", ["timeout"]),
    ],
)
def test_own_attributes(kind: str, attributes: list[str]) -> None:
    for attribute in attributes:
        assert getattr(getattr(errors, kind)("x"), attribute) is None
        assert getattr(getattr(errors, kind)("x", **{attribute: 5}), attribute) == 5


@every_error
def test_every_error_pickles_and_copies(kind: type[ObjStoreError]) -> None:
    """Whole: its kind, its message, and every attribute, those added later included."""
    error = kind(
        "what happened", bucket="B", name="n", code=404, limit=5, differences={"a": (1, 2)}
    )
    error.subject = "s"
    error.__dict__["added"] = ["later"]
    copies = [pickle.loads(pickle.dumps(error, n)) for n in range(pickle.HIGHEST_PROTOCOL + 1)]
    for again in [*copies, copy.copy(error), copy.deepcopy(error)]:
        assert type(again) is kind
        assert str(again) == "what happened"
        assert again.args == error.args
        assert vars(again) == vars(error)


def test_names_do_not_meet_those_of_builtin_bases() -> None:
    """ImportError has a name of its own, OSError its errno and file name."""
    error = errors.MissingDependencyError("x", name="package")
    assert error.name == "package"
    missing = errors.ObjectNotFoundError("x", name="n")
    assert (missing.name, missing.errno, missing.filename) == ("n", None, None)


# --- JetStream's numbers


@pytest.mark.parametrize(
    ("err_code", "kind"),
    [
        (10002, StorageFullError),
        (10023, StorageFullError),
        (10028, StorageFullError),
        (10047, StorageFullError),
        (10077, StorageFullError),
        (10122, StorageFullError),
        (10052, BucketConfigError),
        (10055, BucketConfigError),
        (10058, BucketConfigError),
        (10065, BucketConfigError),
        (10074, BucketConfigError),
        (10113, BucketConfigError),
        (10059, BucketNotFoundError),
        (10109, BucketSealedError),
        (10071, RevisionMismatchError),
        (10164, RevisionMismatchError),
        (10003, APIError),
        (10026, APIError),
    ],
)
def test_api_errors(err_code: int, kind: type[ObjStoreError]) -> None:
    answer = {"code": 400, "err_code": err_code, "description": "its own words"}
    error = api_error(answer, "cannot do it", bucket="B", name="n", subject="s")
    assert type(error) is kind
    assert (error.code, error.err_code, error.description) == (400, err_code, "its own words")
    assert (error.bucket, error.name, error.subject) == ("B", "n", "s")
    assert str(error) == f"cannot do it: its own words (code 400, err_code {err_code})"


def test_the_table_is_tested_whole() -> None:
    marks: Any = test_api_errors
    (mark,) = (mark for mark in marks.pytestmark if mark.name == "parametrize")
    tested = {number for number, kind in mark.args[1] if kind is not APIError}
    assert tested == set(errors._BY_ERR_CODE)


@pytest.mark.parametrize("answer", [{}, {"code": None, "err_code": None, "description": None}])
def test_api_errors_that_say_little(answer: dict[str, Any]) -> None:
    error = api_error(answer, "cannot do it")
    assert type(error) is APIError
    assert str(error) == "cannot do it: unknown error (code 0, err_code 0)"


def test_siblings_are_apart() -> None:
    """Catching one kind does not catch its parent's other children."""
    assert issubclass(DigestMismatchError, errors.ObjectCorruptError)
    assert issubclass(NoRespondersError, RequestTimeoutError)
    assert not issubclass(RequestTimeoutError, errors.ConnectionLostError)
    assert not issubclass(errors.AuthorizationError, errors.ConnectionLostError)


def test_a_block_says_what_its_errors_concern() -> None:
    """Each time it is entered; errors of others stay as they are."""
    block = about(bucket="B", name="n")
    for _ in range(2):
        with pytest.raises(BucketSealedError) as caught, block:
            raise BucketSealedError("sealed", name="of something inside", subject="s")
        assert (caught.value.bucket, caught.value.name, caught.value.subject) == ("B", "n", "s")
    with pytest.raises(FileNotFoundError) as other, block:
        raise FileNotFoundError("gone")
    assert not hasattr(other.value, "bucket")
    with block:
        pass
