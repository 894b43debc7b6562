"""Sphinx's settings. Nothing is fetched: the docs are built without a network."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import objstore

project = "objstore"
author = "The objstore developers"
copyright = author
release = version = objstore.__version__

extensions = ["sphinx.ext.autodoc", "sphinx_click", "docstrings"]

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80

# A reference that leads nowhere is a warning, and so an error. What other projects document is
# not looked up, for that needs a network.
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!objstore\.).*")]

# Typographic quotes and dashes would change what is to be typed.
smartquotes = False

html_theme = "furo"
html_title = f"objstore {release}"
html_show_sphinx = False
html_copy_source = False
templates_path: list[str] = []
exclude_patterns: list[str] = []
