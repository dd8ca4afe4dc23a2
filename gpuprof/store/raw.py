"""The raw series beside a record: a compressed numpy archive of float64 arrays, read without numpy."""

from __future__ import annotations

import io
import re
import struct
import sys
import zipfile
import zlib
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path

from gpuprof.errors import StoreError

Raw = Mapping[str, Sequence[float]]
_MOST_RAW_BYTES = 1 << 28
_HEADER = re.compile(rb"\{'descr': '<f8', 'fortran_order': False, 'shape': \(([0-9]{1,10}),\), \}\s*")


def npz(raw: Raw) -> bytes:
    """The series as a compressed numpy archive of float64 arrays; equal input gives equal bytes."""
    import numpy as np

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in sorted(raw.items()):
            column = io.BytesIO()
            np.lib.format.write_array(column, np.asarray(values, dtype=np.float64), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), column.getvalue(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def read_raw(path: Path, prefix: str = "") -> Raw:
    """The series whose names begin with `prefix`, of a run directory or beside a record.json. Raises StoreError.

    Without numpy, whose import takes longer than a report: `npz` writes one kind of array. A file from elsewhere runs
    no code, and cannot fill the memory when it is unpacked.
    """
    file = (path if path.is_dir() else path.parent) / "raw.npz"
    series: dict[str, Sequence[float]] = {}
    try:
        if file.exists() and not file.is_file():
            raise StoreError(f"{file}: cannot be read (not a regular file)")  # a pipe would be waited for
        with zipfile.ZipFile(file) as archive:
            members = [info for info in archive.infolist() if info.filename.startswith(prefix)]
            if sum(info.file_size for info in members) > _MOST_RAW_BYTES:
                raise StoreError(f"{file}: damaged: it unpacks to more than {_MOST_RAW_BYTES >> 20} MiB")
            size = file.stat().st_size
            if any(m.compress_type != zipfile.ZIP_DEFLATED or m.compress_size > size for m in members):
                raise ValueError("another kind of archive")  # or one whose sizes are not to be believed
            for info in members:
                series[info.filename.removesuffix(".npy")] = _column(archive.read(info))
    except OSError as error:
        raise StoreError(f"{file}: cannot be read ({error.strerror or error})") from None
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, struct.error):
        raise StoreError(f"{file}: damaged: not an archive of raw series") from None
    return series


def _column(data: bytes) -> Sequence[float]:
    """A float64 array of one dimension (numpy's format 1.0). Raises ValueError or struct.error."""
    (length,) = struct.unpack_from("<H", data, 8)
    header, body = data[10 : 10 + length], memoryview(data)[10 + length :]
    shape = _HEADER.fullmatch(header)
    if not data.startswith(b"\x93NUMPY\x01\x00") or shape is None or len(body) != 8 * int(shape[1]):
        raise ValueError("another kind of array")
    column = array("d")  # eight bytes a number, where a list has forty
    column.frombytes(body)
    if sys.byteorder == "big":
        column.byteswap()
    return column
