"""What help() shows of the classes that users meet first, and of the errors."""

from __future__ import annotations

import inspect
import pydoc

import pytest

import objstore
from objstore import errors

pytestmark = pytest.mark.newest_server

ERRORS = [name for name in errors.__all__ if name.endswith("Error")]

#: What a connection shows to the rooms of this package only.
INSIDE = {"after_fork", "connect_at_first_use", "inbox", "session"}


def shown(thing: type) -> str:
    """The page that ``help(thing)`` shows."""
    return pydoc.plain(pydoc.render_doc(thing))


@pytest.mark.parametrize("face", [objstore.ObjectStore, objstore.Client, objstore.Connection])
def test_a_page_begins_with_what_can_be_done(face: type) -> None:
    """pydoc sorts methods by their names, so that destroy comes long before put: the beginning
    of the page has each of them in its group. (A class attribute ``_fields`` would sort them, but
    then pydoc shows what is private, too.)"""
    beginning, _, methods = shown(face).partition("Methods defined here:")
    for name, member in inspect.getmembers(face):
        if name in vars(face) and not name.startswith("_") and name not in INSIDE:
            assert f"``{name}``" in beginning, name
            assert inspect.getdoc(member), name
    assert " _" not in methods.replace(" __", "")


def test_who_reads_on_has_met_put_and_get_before_destroy() -> None:
    page = shown(objstore.ObjectStore)
    assert page.index("``put``") < page.index("``get``") < page.index("``destroy``")


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_shows_what_is_ours(name: str) -> None:
    page = shown(getattr(objstore, name))
    for attribute in ("bucket", "name", "subject", "code", "err_code", "description"):
        assert f"{attribute} = None" in page
    for member in ("errno", "filename", "with_traceback", "characters_written", "name_from"):
        assert member not in page
