"""Views of the memory of bytes-like objects, and which memory is not to be stored.

Pure: only the description of a buffer (PEP 3118) is looked at, none of its bytes.
"""

from __future__ import annotations

import re
import sys
from typing import Any, cast

from objstore.errors import InvalidPayloadError

__all__ = ["flat_view", "is_immutable"]

#: The names of a structure's fields, in the description of a buffer's items (PEP 3118).
_FIELD_NAMES = re.compile(r":[^:]*:")

#: The format codes of addresses: of a Python object (O), of anything (P), of a value of some type
#: (&), of a function (X); and, among ctypes' own codes, of a text (z, Z). But ``Zf``, ``Zd`` and
#: ``Zg`` are complex numbers.
_ADDRESS = re.compile(r"[OPX&z]|Z(?![fdg])")

#: The same in the ``_type_`` of ctypes' simple types; there ``X`` is a BSTR.
_CTYPES_ADDRESSES = "OPXzZ"


def flat_view(data: object) -> memoryview | None:
    """Return a view of the bytes of a bytes-like object, or None if it is none.

    Memory of any shape and items is viewed, not copied, where it is one piece in C's order.

    Arguments:
        data: of any type; text is not bytes-like, numpy's neither.

    Raises:
        InvalidPayloadError: the memory holds addresses, which mean nothing to anybody else; or
            its owner does not give it.
    """
    # Nearly all payloads are bytes, which need none of the checks below.
    if type(data) is bytes:
        return memoryview(data)
    # Not bytes-like, though numpy's text scalars would give their memory.
    if isinstance(data, str):
        return None
    try:
        view = memoryview(cast("bytes", data))
    except TypeError:
        return None
    except (ValueError, BufferError) as error:
        raise InvalidPayloadError(_why_not_given(data, error)) from error
    if not isinstance(view.obj, (bytes, bytearray)):
        _refuse_addresses(view)
    if view.format == "B" and view.ndim == 1 and view.itemsize == 1 and view.c_contiguous:
        return view
    return _flattened(view)


def _flattened(view: memoryview) -> memoryview:
    """Return the bytes of a view one after the other, copied only if they are not so yet."""
    if not view.c_contiguous or not view.nbytes:  # pieces; or a shape with a zero in it
        return memoryview(view.tobytes())
    try:
        return view.cast("B")
    except TypeError:  # of items that Python has no letter for
        from pickle import PickleBuffer  # imported here: it is seldom needed

        return PickleBuffer(view).raw()


def is_immutable(view: memoryview) -> bool:
    """Tell whether nobody can change the memory that is viewed.

    That a view is read-only says nothing: somebody else may have another one. Of the objects that
    give memory away only bytes are known never to change.
    """
    return isinstance(view.obj, bytes)


def _refuse_addresses(view: memoryview) -> None:
    owner = view.obj
    if _ADDRESS.search(_FIELD_NAMES.sub("", view.format)) or _is_of_ctypes_pointers(owner):
        raise InvalidPayloadError(
            f"the memory of the {type(owner).__name__} holds addresses (its format is "
            f"{view.format!r}), not what they lead to; store the values: bytes of an encoding "
            "(pickle.dumps(), json), numbers of one size, or what a pointer leads to "
            "(ctypes.string_at(), .contents)"
        )


def _is_of_ctypes_pointers(owner: object) -> bool:
    """Tell whether an object of ctypes holds addresses.

    Of unions, packed structures and what a structure inherits, ctypes says nothing in a buffer's
    format.
    """
    ctypes: Any = sys.modules.get("ctypes")
    return ctypes is not None and _holds_pointers(ctypes, type(owner))


def _holds_pointers(ctypes: Any, kind: Any) -> bool:
    if issubclass(kind, (ctypes.Structure, ctypes.Union)):
        return any(
            _holds_pointers(ctypes, field[1])
            # `_fields_` has a class's own fields only, not those that it inherits.
            for base in kind.__mro__
            for field in base.__dict__.get("_fields_", ())
        )
    if issubclass(kind, ctypes.Array):
        return _holds_pointers(ctypes, kind._type_)
    if issubclass(kind, (ctypes._Pointer, ctypes._CFuncPtr)):
        return True
    return issubclass(kind, ctypes._SimpleCData) and kind._type_ in _CTYPES_ADDRESSES


def _why_not_given(data: object, error: Exception) -> str:
    kind = getattr(getattr(data, "dtype", None), "kind", None)
    advice = "give its content as bytes"
    if kind is not None:
        advice += ": numpy.save() into an io.BytesIO(), and its getvalue()"
        if kind in ("M", "m"):  # times: numbers in memory, for which buffers have no letter
            advice += ", or payload.tobytes()"
    return f"the memory of the {type(data).__name__} cannot be read ({error}); {advice}"
