"""Pictures of Vega-Lite specifications, and the scripts that make charts interactive. Nothing here uses the network."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpuprof.errors import GpuprofError
from gpuprof.report.charts.axes import POINTER
from gpuprof.system.files import cache_directory, is_ours, make_private, to_file
from gpuprof.text import cleaned

# The colours of the page and of its charts. Blue and orange are told apart by colour-blind eyes; text has a contrast of
# 4.5 or more on paper and panel.
LIGHT = {
    "paper": "#fbfaf7", "panel": "#ffffff", "ink": "#1c2126", "soft": "#5a626b", "faint": "#878e96", "line": "#e2e0da",
    "nvidia": "#1f62a8", "amd": "#b84c00", "cpu": "#5b4a9e", "second": "#0b6e66",
    "third": "#8a2f66", "fourth": "#4a5a2a", "accent": "#1f62a8",
    "good": "#14713f", "bad": "#b3261e", "warn": "#855800", "alarm": "#fdecea", "caution": "#fff4d6", "calm": "#e9f4ec",
}  # fmt: skip
DARK = {
    "paper": "#14171a", "panel": "#1c2024", "ink": "#e7e9eb", "soft": "#a4acb4", "faint": "#737b83", "line": "#32383e",
    "nvidia": "#79b3f2", "amd": "#f59a4c", "cpu": "#b3a4f0", "second": "#5fd0c4",
    "third": "#f090c4", "fourth": "#b3c686", "accent": "#79b3f2",
    "good": "#6ccb93", "bad": "#ff8a80", "warn": "#e9bf5b", "alarm": "#3a1f1e", "caution": "#352c14", "calm": "#1b2e23",
}  # fmt: skip


def svg(spec: Mapping[str, Any]) -> str:
    """The specification as an SVG picture, in CSS variables. Raises GpuprofError without vl-convert."""
    # Harmless text alone: some characters abort the whole process in there.
    return str(_library().vegalite_to_svg(cleaned(_still(spec)), allowed_base_urls=[]))


def _still(part: Any) -> Any:
    """The specification without what only a pointer needs, which would take a third of the time."""
    if isinstance(part, Mapping):
        kept = {key: value for key, value in part.items() if key not in ("tooltip", "params")}
        return {key: value if key == "data" else _still(value) for key, value in kept.items()}
    if isinstance(part, list):
        return [_still(inner) for inner in part if not (isinstance(inner, Mapping) and _for_pointer(inner))]
    return part


def _for_pointer(layer: Mapping[str, Any]) -> bool:
    return str(layer.get("name", "")).endswith(POINTER)


def concrete(picture: str) -> str:
    """The picture in the colours of the light theme, for viewers without CSS variables."""
    return re.sub(r"var\(--([a-z]+)\)", lambda match: LIGHT.get(match[1], match[0]), picture)


def bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script with their licences, ready to stand inside a script element.

    Building it takes seconds, so it is kept in the user's cache. Raises GpuprofError without vl-convert.
    """
    library = _library()
    file = cache_directory() / f"vega-{library.__version__}.js"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        make_private(file.parent)
        mark, _, script = file.read_text("utf-8").partition("\n") if is_ours(file) else ("", "", "")
        if script and mark == _mark(script):
            return script
    licences = Path(__file__).with_name("licences.txt").read_text("utf-8")
    script = f"/*\n{licences}*/\n{library.javascript_bundle()}"
    # HTML parsers turn \r into \n, so that the script missed its hash in the policy; the others break its element.
    for risky, safe in (("\r\n", "\n"), ("\r", "\n"), ("</script", "<\\/script"), ("<!--", "<\\!--")):
        script = script.replace(risky, safe)
    with contextlib.suppress(OSError, GpuprofError):
        make_private(file.parent)
        to_file(file, f"{_mark(script)}\n{script}".encode(), mode=0o600)  # nobody else may change a script
    return script


def _mark(script: str) -> str:
    """The line above a kept script, by which one that was damaged or changed is known."""
    return f"// sha256 {hashlib.sha256(script.encode()).hexdigest()}"


def _library() -> Any:
    try:
        import vl_convert
    except ImportError as error:
        raise GpuprofError(
            f"charts need vl-convert ({error}); install it: python -m pip install 'vl-convert-python>=1.7'"
        ) from error
    return vl_convert
