"""How Sphinx builds the documentation: `make docs`, without any network."""

import logging
import sys
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import generated

project = "deriva-watch"
author = "the deriva-watch authors"
release = installed("deriva-watch")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "deriva-watch"
html_static_path = ["static"]
html_css_files = ["docs.css"]
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
smartquotes = False  # "native" is a value, not a quotation
default_role = "code"  # docstrings have single backticks, as Markdown has
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_use_unqualified_type_names = True
# Types of other projects, which only the network could look up, and our own that are not public.
nitpick_ignore_regex = [("py:.*", r"(?!deriva_watch\.\w+$).*")]

logging.getLogger("alembic").setLevel(logging.WARNING)  # a journal is made for the metrics


def setup(app: Any) -> None:
    """Put the generated parts into the pages as they are read."""
    app.connect("source-read", _expand)


def _expand(_app: Any, _name: str, source: list[str]) -> None:
    source[0] = generated.expand(source[0])
