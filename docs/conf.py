# SPDX-License-Identifier: Apache-2.0
"""Sphinx's settings; `scripts/site.py` calls it on a copy of the pages."""

from __future__ import annotations

from importlib import import_module

project = "hlsgen"
author = "hlsgen"
release = import_module("hlsgen.version").__version__
extensions = ["myst_parser"]
html_theme = "furo"
html_title = f"hlsgen {release}"
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
myst_heading_anchors = 4
myst_enable_extensions = ["attrs_block"]
suppress_warnings = [
    "misc.highlighting_failure",  # code with NAME and ... in it is no code of its language
    "myst.header",  # docs/api.md has names two levels below their part
]
