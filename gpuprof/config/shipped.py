"""The configurations that come with gpuprof, by name, wherever one works."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_PLACES = (_PACKAGE / "configs", _PACKAGE.parent / "configs")  # of an installed package; of a checkout


def names() -> list[str]:
    """Of all of them, in alphabetical order; none where an installation lacks them."""
    return sorted(file.stem for file in _folder().glob("*.yaml"))


def resolved(text: str) -> Path:
    """The file of this path, or the shipped one of this name where there is none: lstm, or configs/lstm.yaml."""
    path = Path(text)
    shipped = _folder() / f"{path.stem}.yaml"
    asked = text == path.stem or path == Path("configs", shipped.name)
    return shipped if asked and not path.exists() and shipped.is_file() else path


def _folder() -> Path:
    return next((place for place in _PLACES if place.is_dir()), _PLACES[0])
