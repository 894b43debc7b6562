"""The pictures of the roads in docs/architecture.rst, made from the code.

    python -m tests.support.roads  # writes them anew

One put and one get of a small object are traced against a nats-server of their own; each line is
a function that the calling thread enters, below the one that calls it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NamedTuple
from unittest import mock

import objstore
from objstore import ObjectStore
from objstore.put import one_object

__all__ = ["PAGE", "Road", "picture", "roads", "with_pictures"]

PAGE = Path(__file__).parent.parent.parent / "docs" / "architecture.rst"
ROOT = str(Path(objstore.__file__).parent)

#: The object has a folder in its name, and a media type, as ``upload_file`` stores them.
NAME, DATA, MIME = "folder/name.txt", b"x" * 1000, "text/plain"

#: No calls in all versions of Python.
COMPREHENSIONS = {"<listcomp>", "<dictcomp>", "<setcomp>"}


class Road(NamedTuple):
    """The way of one call through the code.

    Attributes:
        steps: the depth, the module and the function of each step, in order.
    """

    steps: list[tuple[int, str, str]]

    @property
    def modules(self) -> list[str]:
        """The modules that are entered, in order."""
        return list(dict.fromkeys(module for _, module, _ in self.steps))

    @property
    def depth(self) -> int:
        """How many calls are nested, at the most."""
        return max(depth for depth, _, _ in self.steps)


def trace(act: Callable[[], object]) -> Road:
    """Follow the calling thread through the modules of objstore."""
    steps: list[tuple[int, str, str]] = []
    depth = 0

    def note(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal depth
        code = frame.f_code
        if not code.co_filename.startswith(ROOT) or event not in ("call", "return"):
            return
        if code.co_name in COMPREHENSIONS:
            return
        depth += 1 if event == "call" else -1
        if event == "call":
            module = Path(code.co_filename).relative_to(ROOT).with_suffix("").as_posix()
            steps.append((depth, module, code.co_name))

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return Road(steps)


def roads(store: ObjectStore) -> dict[str, Road]:
    """Trace a put of a new object, of one over it, and a get, in a bucket that is known by then."""
    store.put("first", DATA, mime=MIME)
    store.read_bytes("first")
    store.info(NAME)  # what is kept of a name is known from here on
    store._handle.known.fresh_until = math.inf  # however slow this machine is, and so is the put
    with mock.patch.object(one_object, "LONG", math.inf):
        return {
            "put": trace(lambda: store.put(NAME, DATA, mime=MIME)),
            "put over another": trace(lambda: store.put(NAME, DATA, mime=MIME)),
            "get": trace(lambda: store.read_bytes(NAME)),
            "info": trace(lambda: store.info(NAME)),
        }


def picture(road: Road) -> list[str]:
    """Draw a road: a line for each module that is entered, with what is called in it."""
    lines: list[tuple[int, str, list[str]]] = []
    for depth, module, function in road.steps:
        if lines and lines[-1][:2] == (depth, module):
            lines[-1][2].append(function)
        else:
            lines.append((depth, module, [function]))
    return [
        f"{'  ' * (depth - 1)}{module}: {', '.join(dict.fromkeys(functions))}"
        for depth, module, functions in lines
    ]


def with_pictures(text: str, drawn: dict[str, Road]) -> str:
    """Put the pictures into a page, between the marks for them."""
    for name in ("put", "get"):
        road = drawn[name]
        head = (
            f"A {name} of 1,000 bytes: {len(road.modules)} modules, "
            f"{len(road.steps)} calls, {road.depth} deep."
        )
        block = ["", head, "", ".. code-block:: text", ""]
        block += [*(f"   {line}" for line in picture(road)), "", ""]
        before, begins, rest = text.partition(f".. the road of a {name} begins\n")
        _, ends, after = rest.partition(f".. the road of a {name} ends\n")
        if not ends:
            raise ValueError(f"the page has no marks for the road of a {name}")
        text = before + begins + "\n".join(block) + ends + after
    return text


def main() -> None:
    """Write the pictures into the page."""
    with objstore.local() as client:
        drawn = roads(client.object_store("roads"))
    PAGE.write_text(with_pictures(PAGE.read_text("utf-8"), drawn), "utf-8")


if __name__ == "__main__":
    main()
