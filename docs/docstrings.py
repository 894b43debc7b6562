"""A Sphinx extension: the sections of our docstrings become lists, our names become links.

``sphinx.ext.napoleon`` reads Google's rules into them, which are others: errors over two lines,
and sentences among them ("And as :meth:`get`"), came out as errors of odd names.
"""

from __future__ import annotations

import builtins
import inspect
import re
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docutils.nodes import Element, Node
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

SECTION = re.compile(r"(Arguments|Attributes|Returns|Raises):$")
ENTRY = re.compile(r"([*\w.]+(?:, [*\w.]+)*)(?:\.$|: (.*))", re.DOTALL)

#: The classes that users construct. Of the others neither the signature is shown nor its
#: arguments: they come out of a call.
CONSTRUCTED = {
    "BucketOptions", "Client", "Connection", "ExternalStream", "LocalServer", "ObjectLink",
    "ObjectMeta", "ObjectMetaOptions", "Placement", "Republish", "StreamSource",
    "flask.ObjectStore", "flask.UploadView", "django.ObjectStorage", "django.ObjectStaticStorage",
}  # fmt: skip


def is_constructed(name: str) -> bool:
    """Tell whether users construct a class, by its full name."""
    return any(name.endswith(f".{each}") for each in CONSTRUCTED)


def sections(lines: list[str]) -> list[tuple[str, list[str]]]:
    """Cut a docstring into its sections.

    Arguments:
        lines: of the docstring, without the indentation that all have.

    Returns:
        Each section's title and its lines; the title is empty for text between sections.
    """
    parts: list[tuple[str, list[str]]] = [("", [])]
    for line in lines:
        title = SECTION.match(line)
        if title is not None:
            parts.append((title[1], []))
            continue
        if parts[-1][0] and line and not line[0].isspace():
            parts.append(("", []))
        parts[-1][1].append(line)
    return parts


def entries(lines: list[str]) -> list[str]:
    """Join the lines of a section to its entries; one begins where the one before has ended."""
    found: list[str] = []
    for line in textwrap.dedent("\n".join(lines)).strip().split("\n"):
        if found and (line.startswith(" ") or not found[-1].endswith((".", ".)"))):
            found[-1] += f" {line.strip()}"
        elif line:
            found.append(line)
    return found


def field(title: str, lines: list[str], annotations: dict[str, Any]) -> list[str]:
    """Write one section as a field of reStructuredText."""
    if title == "Returns":
        return [":Returns:", *textwrap.indent(textwrap.dedent("\n".join(lines)), "   ").split("\n")]
    items = []
    for entry in entries(lines):
        match = ENTRY.fullmatch(entry)
        if match is None:
            items.append(entry)
            continue
        names = match[1].split(", ")
        head = ", ".join(error(name) if title == "Raises" else f"**{name}**" for name in names)
        if title == "Attributes" and names[0] in annotations:
            head += f" (*{annotations[names[0]]}*)"
        items.append(f"{head} -- {match[2]}" if match[2] else head)
    return [f":{title}:", *(f"   - {item}" for item in items), ""]


def error(name: str) -> str:
    """Write an error's name; what is none of Python's must be one of ours, or the build fails."""
    if "." in name:  # another package's
        return f"``{name}``"
    return f":exc:`{name}`" if hasattr(builtins, name) else f":exc:`~objstore.{name}`"


def rewrite(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Handle ``autodoc-process-docstring``."""
    hidden = what in ("class", "exception") and not is_constructed(name)
    annotations = inspect.get_annotations(thing) if inspect.isclass(thing) else {}
    written = []
    for title, part in sections(lines):
        if not title:
            written += part
        elif not (hidden and title == "Arguments"):
            written += ["", *field(title, part, annotations)]
    lines[:] = written


def hide(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """Handle ``autodoc-process-signature``."""
    if what in ("class", "exception") and not is_constructed(name):
        return "", ""
    return None


def public_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: Element
) -> Node | None:
    """Lead from the module where a class is defined to its public name; others are no links."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target.startswith("objstore."):
        return None
    public = f"objstore.{target.rpartition('.')[2]}"
    domain = env.domains.python_domain
    if public in domain.objects:
        return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", public, node, content)
    inner = node["reftype"] == "class" and public.count(".") < target.count(".")
    return content if inner else None


def literal_examples(app: Sphinx, ctx: Any, lines: list[str]) -> None:
    """Handle ``sphinx-click-process-description``: what is to be typed is no markup."""
    at = next((n for n, line in enumerate(lines) if line == "| Examples:"), None)
    if at is not None:
        end = next((n for n in range(at, len(lines)) if not lines[n].startswith("|")), len(lines))
        examples = [f"    {line.removeprefix('|').strip()}" for line in lines[at + 1 : end]]
        lines[at:end] = ["Examples::", "", *examples]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register all this."""
    app.connect("autodoc-process-docstring", rewrite)
    app.connect("autodoc-process-signature", hide)
    app.connect("missing-reference", public_name)
    app.connect("sphinx-click-process-description", literal_examples)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
