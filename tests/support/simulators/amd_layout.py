"""Write the C half of a simulated libamd_smi.so that fits an `amdsmi` wheel, on stdout.

The wheel is the one installed, or the one unpacked in the folder that the first argument names.

The wheel's ctypes classes are the only truth about layouts, and they differ from wheel to wheel. So the wrapper is
imported with a recorder in the place of its library, and for every function that it binds this prints
  - a table of the struct or number behind the last pointer: name, offset and size of each field, and
  - a weak definition: `(handle, selectors..., pointer)` answers from the script; the others return NOT_SUPPORTED.
amd_sim.c defines the few that need more, and the linker prefers those.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
from collections.abc import Iterator
from types import SimpleNamespace

# Shapes that amd_sim.c names, and that older wheels lack: nobody asks for them there.
NAMED = ("amdsmi_get_violation_status",)
SELECTORS = (ctypes.c_uint32, ctypes.c_int32)


class Recorder:
    """Stands for the C library: remembers what is asked of it."""

    def __init__(self, *_: object, **__: object) -> None:
        self.bound: dict[str, SimpleNamespace] = {}

    def __getattr__(self, name: str) -> SimpleNamespace:
        return self.bound.setdefault(name, SimpleNamespace(argtypes=[]))


def bound_functions() -> dict[str, list]:
    """The argument types of every function that the wheel looks up at import."""
    recorder = Recorder()
    real, ctypes.CDLL = ctypes.CDLL, lambda *_, **__: recorder
    try:
        importlib.import_module("amdsmi.amdsmi_wrapper")
    finally:
        ctypes.CDLL = real
    return {name: list(function.argtypes) for name, function in recorder.bound.items() if name.startswith("amdsmi_")}


def target(kind: type) -> type | None:
    """What a pointer type points to; None for `void *` and for what is no pointer."""
    return getattr(kind, "_type_", None) if issubclass(kind, ctypes._Pointer) else None


def fields(kind: type, name: str = "", offset: int = 0) -> Iterator[tuple[str, int, int, int, str]]:
    """(name, offset, element size, elements, kind) of every leaf; kind: u = unsigned, s = string, p = pointer to it."""
    if issubclass(kind, ctypes.Structure):
        for field, sub, *bits in getattr(kind, "_fields_", ()):  # an opaque one has none
            if not bits and not field.startswith("PADDING"):
                yield from fields(sub, f"{name}.{field}".lstrip("."), offset + getattr(kind, field).offset)
    elif issubclass(kind, ctypes.Array):
        leaf, count = kind, 1
        while issubclass(leaf, ctypes.Array):
            leaf, count = leaf._type_, count * leaf._length_
        if leaf is ctypes.c_char:
            yield name, offset, 1, count, "s"
        elif issubclass(leaf, ctypes.Structure):
            for i in range(count):
                yield from fields(leaf, f"{name}.{i}", offset + i * ctypes.sizeof(leaf))
        else:
            yield name, offset, ctypes.sizeof(leaf), count, "u"
    elif target(kind) is ctypes.c_char:
        yield name, offset, ctypes.sizeof(kind), 1, "p"
    elif ctypes.sizeof(kind) <= 8:  # numbers, and the union behind a PCI address
        yield name or "value", offset, ctypes.sizeof(kind), 1, "u"


def main() -> None:
    print('#include "amd_layout.h"')
    sys.path[:0] = sys.argv[1:2]
    os.environ.setdefault(
        "ROCM_PATH", "/nowhere"
    )  # wheels of ROCm 6.0 and 6.1 read it, and find the recorder all the same
    bound = bound_functions()
    for name in NAMED:
        if name not in bound:
            print(f'const Shape shape_{name} = {{"{name}", 0, 0, 0, 0}};')
    for name, arguments in bound.items():
        out = target(arguments[-1]) if arguments else None
        selectors = arguments[1:-1]
        scripted = out and arguments[0] is ctypes.c_void_p and len(selectors) <= 2
        if out:
            leaves = list(fields(out))
            rows = ", ".join(f"{{\"{n}\", {o}, {s}, {c}, '{k}'}}" for n, o, s, c, k in leaves)
            fill = 0xFF if name == "amdsmi_get_gpu_metrics_info" else 0  # there, all ones is how a field says "nothing"
            print(f"static const Field fields_{name}[] = {{{rows or '{0}'}}};")
            numbers = f"{ctypes.sizeof(out)}, {len(leaves)}, {fill}"
            print(f'const Shape shape_{name} = {{"{name}", fields_{name}, {numbers}}};')
        if scripted and all(kind in SELECTORS for kind in selectors):
            named = "".join(f", unsigned s{i}" for i in range(len(selectors)))
            values = "".join(f", s{i}" for i in range(len(selectors))) + ", 0" * (2 - len(selectors))
            body = f"return answer_shape(g, &shape_{name}, out, {len(selectors)}{values});"
            print(f"__attribute__((weak)) int {name}(void *g{named}, void *out) {{ {body} }}")
        else:
            print(f"__attribute__((weak)) int {name}(void) {{ return 2; }}")


if __name__ == "__main__":
    main()
