"""Read the weights in a CTranslate2 model.bin (the format of faster-whisper's models).

The file is little-endian: uint32 version, string specification name, uint32 revision, then the variables
and their aliases, each list behind its uint32 count.  A string is a uint16 length and that many bytes, the
last one zero.  A variable is its name, a uint8 rank, the uint32 sizes, a uint8 data type, a uint32 number
of bytes and the data; an alias is a new name and the name that it stands for.
"""

import struct
from pathlib import Path

import numpy as np

DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
VERSION = 6


class _Cursor:
    def __init__(self, data: bytes, path: Path):
        self.data, self.path, self.at = data, path, 0

    def take(self, count: int) -> memoryview:
        if self.at + count > len(self.data):
            raise ValueError(
                f"{self.path}: truncated: {len(self.data)} bytes, but byte {self.at + count} is needed; "
                "fetch the file again"
            )
        self.at += count
        return memoryview(self.data)[self.at - count : self.at]

    def number(self, kind: str) -> int:
        return struct.unpack("<" + kind, self.take(struct.calcsize(kind)))[0]

    def string(self) -> str:
        return bytes(self.take(self.number("H"))[:-1]).decode()


def read_model(path: str | Path) -> tuple[str, dict[str, np.ndarray]]:
    """Specification name and variables of a model.bin; quantised weights come back as float32.

    Raises:
        ValueError: not such a file, truncated, or with a data type that numpy lacks.
    """
    path = Path(path)
    cursor = _Cursor(path.read_bytes(), path)
    version = cursor.number("I")
    if not 1 <= version <= VERSION:
        raise ValueError(
            f"{path}: no CTranslate2 model (version {version}; versions 1 to {VERSION} are known)"
        )
    name = cursor.string()
    cursor.number("I")
    variables = {}
    for _ in range(cursor.number("I")):
        key = cursor.string()
        shape = [cursor.number("I") for _ in range(cursor.number("B"))]
        dtype = cursor.number("B")
        data = cursor.take(cursor.number("I"))
        if dtype not in DTYPES:
            raise ValueError(f"{path}: {key} has data type {dtype} (bfloat16?): convert the model to float16")
        variables[key] = np.frombuffer(data, dtype=DTYPES[dtype]).reshape(shape)
    for _ in range(cursor.number("I")):
        alias, key = cursor.string(), cursor.string()
        variables[alias] = variables[key]
    return name, {k: _dequantised(k, variables) for k in variables if not k.endswith("_scale")}


def _dequantised(key: str, variables: dict[str, np.ndarray]) -> np.ndarray:
    """int8 rows are stored as round(weight * scale), one scale a row."""
    value, scale = variables[key], variables.get(f"{key}_scale")
    if scale is None:
        if value.ndim > 1 and value.dtype.kind == "i":
            raise ValueError(f"{key}: quantised, but {key}_scale is missing; fetch the file again")
        return value
    return value.astype(np.float32) / scale.astype(np.float32).reshape(-1, *[1] * (value.ndim - 1))
