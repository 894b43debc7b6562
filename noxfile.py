"""What is tried before a release: each Python, the oldest and newest dependencies, each server.

``nox`` runs all of it, which takes hours; ``nox -l`` lists the sessions, ``nox -s lint`` runs one.
CI runs ``.ci/run``: the newest dependencies, older servers, the wheel on each Python.
"""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import nox

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")

#: The last of each line of nats-server, and the newest, which is the one that is installed.
SERVERS = ("2.10.26", "2.11.11", "2.12.8", "2.14.6", "newest")

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True


def lowest(extras: tuple[str, ...]) -> list[str]:
    """The oldest versions that setup.cfg allows: each ``name >= version`` as ``name==version``.

    Arguments:
        extras: whose packages count, beside those that are always needed.
    """
    config = configparser.ConfigParser()
    config.read(Path(__file__).with_name("setup.cfg"))
    lists = [config["options"]["install_requires"]]
    lists += [config["options.extras_require"][extra] for extra in extras]
    return [f"{name}=={low}" for name, low in re.findall(r"([\w-]+) >= ([\w.]+)", "\n".join(lists))]


@nox.session(python=PYTHONS)
@nox.parametrize("server", SERVERS)
@nox.parametrize("dependencies", ["lowest", "newest"])
def tests(session: nox.Session, dependencies: str, server: str) -> None:
    """Run the suite; words after ``--`` go to pytest."""
    session.install("-e", ".[test]")
    if dependencies == "lowest":
        constraints = Path(session.create_tmp(), "lowest.txt")
        constraints.write_text("\n".join(lowest(("nkeys", "flask", "http"))))
        session.install("-r", str(constraints), "-e", ".")
    on = () if server == "newest" else ("--nats-server", server)
    session.run("python", "-m", "pytest", "-q", *on, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Look at format, style and everything that pre-commit looks at, types excepted."""
    session.install("-e", ".[dev]")
    session.run("pre-commit", "run", "--all-files", env={"SKIP": "mypy"})


@nox.session(python=PYTHONS)
def types(session: nox.Session) -> None:
    """Check the types."""
    session.install("-e", ".[test]")
    session.run("mypy", "--python-version", str(session.python))


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site into build/docs, and run what it shows."""
    session.install("-e", ".[docs,test]")
    session.run("sphinx-build", "-W", "--keep-going", "docs", "build/docs")
    session.run("python", "-m", "pytest", "-q", "tests/test_docs.py")


@nox.session
def build(session: nox.Session) -> None:
    """Build the source archive and the wheel into dist, and look whether PyPI would take them."""
    session.install("build", "twine")
    session.run("python", "-m", "build")
    session.run("twine", "check", "--strict", *map(str, Path("dist").iterdir()))
