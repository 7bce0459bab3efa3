"""Sphinx's configuration; ci/docs.sh builds the site."""

import re

import espnet_posinv

project = "espnet_posinv"
author = copyright = "The espnet_posinv developers"
release = espnet_posinv.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
html_theme = "furo"
html_title = f"espnet_posinv {release}"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
exclude_patterns = ["_build"]


def setup(app):
    """Links to files of the repository outside doc/ become their text: the site has no such pages."""

    def read(app, name, text):
        text[0] = re.sub(r"\[([^]]*)\]\(\.\./[^)]*\)", r"\1", text[0])

    app.connect("source-read", read)
