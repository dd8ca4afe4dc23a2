"""How gpuprof starts itself: this package's own code, and never a file of the working directory."""

from __future__ import annotations

import sys
from pathlib import Path

import gpuprof

# `-c` and not `-m`, and without the working directory on the path: a torch.py, gpuprof.py or another clone there must
# not be imported. Variables such as PYTHONPATH stay as they are.
_CODE = "import sys; sys.path[:1] = []; sys.path.append({root!r}); from {module} import main; main()"


def own(module: str) -> list[str]:
    """The command that calls `main()` of a module of this package; arguments may follow."""
    return [sys.executable, "-c", _CODE.format(root=str(Path(gpuprof.__file__).parents[1]), module=module)]


def program() -> list[str]:
    """The command `gpuprof` by its full path, for schedules: the script beside this Python, or `own`."""
    script = Path(sys.executable).with_name("gpuprof")
    return [str(script)] if script.is_file() else own("gpuprof.cli")
