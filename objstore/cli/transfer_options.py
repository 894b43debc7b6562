"""What commands that transfer folders take alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["globs_options", "transfer_options"]

_F = TypeVar("_F", bound=Callable[..., Any])


def globs_options(function: _F) -> _F:
    """Give a command ``--include`` and ``--exclude``."""
    for name, text in (("exclude", "Leave out what fits"), ("include", "Take only what fits")):
        function = click.option(
            f"--{name}", metavar="GLOB", multiple=True, callback=_check_globs,
            help=f"{text}; may be repeated.",
        )(function)  # fmt: skip
    return function


def _check_globs(
    ctx: click.Context, param: click.Parameter, globs: tuple[str, ...]
) -> tuple[str, ...]:
    """Refuse what aws has for "only these": here it would leave all out."""
    # There the order of the options counts, and a later --include brings some back.
    if param.name == "exclude" and {"*", "**"} & set(globs):
        raise click.UsageError(
            f"--exclude {globs[0]!r} leaves all out; --include GLOB alone takes only what fits"
        )
    return globs


def transfer_options(function: _F) -> _F:
    """Give a command ``--jobs`` and ``--mode``."""
    function = click.option(
        "-j", "--jobs", metavar="N", type=click.IntRange(1, 64), default=4, show_default=True,
        help="Larger files at once; small ones go together anyway.",
    )(function)  # fmt: skip
    return click.option("--mode", is_flag=True, help="Keep the files' permissions, too.")(function)
