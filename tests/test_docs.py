"""What the README and docs/ show runs; what they name exists; the reference names all of it."""

from __future__ import annotations

import doctest
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

import objstore
from objstore import Client, LocalServer, shared

pytestmark = pytest.mark.newest_server

ROOT = Path(__file__).parent.parent
README = ROOT / "README.rst"
#: What it shows needs more packages, and runs with the tests that have them.
ECOSYSTEM = ROOT / "docs" / "guides" / "pandas.rst"
PAGES = [README, *sorted({*(ROOT / "docs").rglob("*.rst")} - {ECOSYSTEM})]
TEST_COMMAND = (
    'python3 -m venv .venv && .venv/bin/pip install -e ".[test]" && .venv/bin/python -m pytest'
)

#: Output may stand for more than is shown, and errors are known by their class.
LENIENT = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a text in a language."""
    found = re.findall(rf"( *)\.\. code-block:: {language}\n\n((?:\1    .*\n|\n)+)", text)
    return [textwrap.dedent(block) for _, block in found]


def examples(pages: Iterable[Path]) -> list[tuple[str, str]]:
    """Every Python block with its place. Each is a program of its own."""
    texts = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in pages}
    return examples_of(texts)


def examples_of(texts: Mapping[str, str]) -> list[tuple[str, str]]:
    """As :func:`examples`, of texts by their places."""
    return [
        (f"{name}-{number}", block)
        for name, text in texts.items()
        for number, block in enumerate(blocks(f"{text}\n", "python"), 1)
    ]


EXAMPLES = examples(PAGES) + examples_of({"objstore/__init__.py": objstore.__doc__ or ""})


@pytest.fixture
def somewhere(
    server: LocalServer, shared_client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The folder in which the examples run, empty as a reader's; their buckets go afterwards."""
    clients = shared._SharedClients()
    monkeypatch.setattr(shared, "_clients", clients)
    monkeypatch.setenv("NATS_URL", server.url)
    monkeypatch.chdir(tmp_path)
    before = {status.bucket for status in shared_client.list_stores()}
    yield tmp_path
    clients.close()
    for status in shared_client.list_stores():
        if status.bucket not in before:
            shared_client.delete_store(status.bucket)


@pytest.mark.parametrize(("place", "example"), EXAMPLES, ids=[place for place, _ in EXAMPLES])
def test_example(place: str, example: str, somewhere: Path) -> None:
    exec(compile(example, place, "exec"), {"__name__": "example"})


SESSIONS = {path: "".join(blocks(path.read_text("utf-8"), "pycon")) for path in PAGES}


@pytest.mark.parametrize(
    "page", [path.relative_to(ROOT).as_posix() for path, session in SESSIONS.items() if session]
)
def test_session(page: str, somewhere: Path) -> None:
    """All that is typed on a page is one session, and answers what is shown."""
    text = SESSIONS[ROOT / page]
    session = doctest.DocTestParser().get_doctest(text, {}, page, page, 0)
    said: list[str] = []
    results = doctest.DocTestRunner(optionflags=LENIENT).run(session, out=said.append)
    assert results.attempted
    assert not results.failed, "".join(said)


def test_the_test_command_is_the_one_that_ci_runs() -> None:
    assert TEST_COMMAND in [
        line for block in blocks(README.read_text(), "sh") for line in block.splitlines()
    ]
    ci = ROOT / ".ci" / "run"
    if ci.exists():  # not among the tests that run against the built wheel
        assert TEST_COMMAND in ci.read_text()


def test_the_reference_has_every_public_name() -> None:
    pages = "".join(path.read_text("utf-8") for path in (ROOT / "docs/reference").glob("*.rst"))
    shown = re.findall(r"\.\. auto(?:class|function|exception|data):: (\w+)\n", pages)
    assert sorted(shown) == sorted(set(objstore.__all__) - {"__version__"})


def test_the_map_of_the_house_is_true() -> None:
    """What CONTRIBUTING and the page on architecture lead to is there."""
    package = Path(objstore.__file__).parent
    for page in (ROOT / "CONTRIBUTING.rst", ROOT / "docs" / "architecture.rst"):
        text = page.read_text("utf-8")
        paths = re.findall(r"``((?:objstore|tests|docs)/[\w./]*)``", text)
        paths += [f"objstore/{path}.py" for path in re.findall(r"``(\w+/\w+(?:/\w+)?)``", text)]
        for path in paths:
            top, _, rest = path.partition("/")
            assert ((package if top == "objstore" else ROOT / top) / rest).exists(), path
        for name, path in re.findall(r"``(\w+)`` in\s+``objstore/([\w/]+\.py)``", text):
            defined = rf"(?m)\b(class|def) {name}\b|^{name}(:| =)"  # or a table of a module
            assert re.search(defined, (package / path).read_text("utf-8")), name


def test_the_map_shows_every_folder() -> None:
    package = Path(objstore.__file__).parent
    text = (ROOT / "CONTRIBUTING.rst").read_text("utf-8")
    shown = {package / path for path in re.findall(r"``objstore/([\w/]+)/``", text)}
    folders = {path.parent for path in package.rglob("*.py")} - {package, package / "wire"}
    # Where Django looks for commands.
    assert shown == {path for path in folders if "management" not in path.parts}
