"""Which Doorstep this is."""

import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path


@cache
def version() -> str:
    """The distribution's version; in a clone that is not installed, the one its `pyproject.toml` states."""
    try:
        return metadata.version("doorstep")
    except metadata.PackageNotFoundError:
        project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
        return str(project["project"]["version"])
