"""The notebooks among the examples run, and show what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from traitlets.config import Config

import objstore
from tests.support.pages import Page

EXAMPLES = Path(__file__).parent.parent.parent / "examples"

#: What some of the outputs of each have to say, in their order.
SHOWN = {
    "first_steps": [
        "notes/today.md object in bucket first-steps",
        "big/zeros: 0.00B [00:00, ?B/s]",  # the text beside the widget of a progress bar
        "64.0 MiB (67,108,864 bytes)",
        "first-steps bucketnamesizemimemtime",
        "3 foldersname",
        "sounds/a.wav object in bucket",
        "objects3",
        "3 objects with content",
        "sounds/a.wav audio/wav, 15.7 KiB",
        "<script>alert('not here')</script>",
        "- water the plants",
        "\\x00\\x00",
        "'notes/today.md' has the revision",
        "verified: all is well",
        "audio/wav  sounds/a.wav",
    ],
    "csv_to_parquet": [
        "raw/2025.csv text/csv, 2.1 MiB, its first 64.0 KiBtimetemperature",
        "count 52560",
        "52,560 rows, 1 row groupcolumntype",
        "weather bucketnamesizemimemtime",
        "2025-01-03",
        "plots/2025.png image/png",
        "3 foldersname",
    ],
}


def read(path: Path) -> Any:
    return nbformat.reads(path.read_text("utf-8"), as_version=4)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run a notebook in a kernel of its own; a cell that fails is an error."""
    home = tmp_path_factory.mktemp("home")

    def run(name: str) -> Any:
        notebook = read(EXAMPLES / f"{name}.ipynb")
        client = NotebookClient(
            notebook,
            timeout=120,
            kernel_name="python3",
            resources={"metadata": {"path": str(home)}},
            # Sockets that are files: nobody else on this machine reaches the kernel.
            config=Config({"KernelManager": {"transport": "ipc", "ip": str(home / "kernel")}}),
        )
        return client.execute()

    return run


def text_of(output: Any) -> str:
    """What can be read of an output."""
    if output.output_type == "stream":
        assert output.name == "stdout", output.text  # else a warning
        return str(output.text)
    data = output.data
    html = data.get("text/html")
    return str(data.get("text/plain", "")) if html is None else " ".join(Page(html).text.split())


@pytest.mark.parametrize("name", SHOWN)
def test_notebook(name: str, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(objstore.__file__).parent.parent))
    cells = [cell for cell in run(name).cells if cell.cell_type == "code"]
    texts = iter(text_of(output) for cell in cells for output in cell.outputs)
    for expected in SHOWN[name]:
        assert any(expected in text for text in texts), expected


def test_all_notebooks_are_tested() -> None:
    """And kept without outputs, which would be of another day."""
    notebooks = {path.stem: read(path) for path in EXAMPLES.glob("*.ipynb")}
    assert notebooks.keys() == SHOWN.keys()
    for notebook in notebooks.values():
        nbformat.validate(notebook)
        assert not any(cell.get("outputs") for cell in notebook.cells)
