"""What a browser would make of HTML."""

from __future__ import annotations

from html.parser import HTMLParser

#: What draws, and does nothing else.
HARMLESS = {"b", "bdi", "br", "div", "pre", "span", "strong", "table", "tbody", "td", "th", "tr"}
WITHOUT_CONTENT = {"br", "img"}


class Page(HTMLParser):
    """A piece of HTML, looked at.

    Attributes:
        elements: the names of its elements and the attributes of each.
        text: all that can be read.
        rows: of its tables, the texts of each row's cells.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        html.encode()  # what a notebook's file is written in
        self.feed(html)
        self.close()
        assert not self._open, "not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in WITHOUT_CONTENT:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "br":
            self.handle_data("\n")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data

    def of(self, label: str) -> str:
        """The text beside a label."""
        (found,) = [row[1] for row in self.rows if row[0] == label]
        return found

    @property
    def is_harmless(self) -> bool:
        """Whether it only shows text."""
        return all(tag in HARMLESS and set(has) <= {"style"} for tag, has in self.elements)
