"""How Sphinx builds the site: `make -C docs html`. Nothing is loaded from the net."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")
HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_site"))

import api_pages
import figures
from sphinx_gallery.sorting import ExplicitOrder

import fastlstm

project = "fastlstm"
author = copyright = "the fastlstm authors"
version = release = fastlstm.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
    "sphinx_design",
    "names",  # docs/_site/names.py
]
exclude_patterns = ["_build", "_site", "examples", "scripts", "**/GALLERY_HEADER.rst"]
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(numpy|sklearn)\..*")]  # their pages are on the net
suppress_warnings = ["config.cache"]  # the gallery's settings hold functions
default_role = "code"

# Markdown: the same files are read on the hosting site
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# docstrings: types are told in words, in the sections of the NumPy style
autosummary_generate = False  # docs/_site/api_pages.py writes the pages
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/[^_]\w*\.py",
    "within_subsection_order": ExplicitOrder([*figures.ORDER, "*"]),
    "image_scrapers": (figures.scraper,),
    "reset_modules": (figures.reset,),
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "capture_repr": (),  # what is shown is printed
    "min_reported_time": 0,
    "plot_gallery": "True",  # quick: -D plot_gallery=0
    "download_all_examples": False,
    "abort_on_example_error": True,
}

html_theme = "pydata_sphinx_theme"
html_title = "fastlstm"
html_static_path = ["_site/static"]
html_css_files = ["site.css"]
html_context = {"default_mode": "auto"}
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {"index": [], "performance": [], "changelog": [], "limits": [], "install": [], "first-steps": []}
html_theme_options = {
    "logo": {"text": "fastlstm"},
    "header_links_before_dropdown": 6,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "github-dark",
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

api_pages.write(HERE / "api")
