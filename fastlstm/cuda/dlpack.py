"""DLPack, by ctypes: memory on a device handed from one library to another without a copy.

https://dmlc.github.io/dlpack/latest/c_api.html. The record is that before version 1.0, which all libraries take.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import numpy as np

CUDA = 2  # kDLCUDA
_KINDS = {"i": 0, "u": 1, "f": 2, "b": 6}  # of DLDataType: its code
_NAMES = {code: kind for kind, code in _KINDS.items()}


class _Device(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int32), ("number", ctypes.c_int32)]


class _Type(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("type", _Type),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("offset", ctypes.c_uint64),
    ]


class _Managed(ctypes.Structure):
    pass


_Deleter = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Managed))
_Managed._fields_ = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _Deleter)]
_Destructor = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)

_api = ctypes.pythonapi
_new, _valid, _pointer = _api.PyCapsule_New, _api.PyCapsule_IsValid, _api.PyCapsule_GetPointer
_new.restype, _new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, _Destructor)
_valid.restype, _valid.argtypes = ctypes.c_int, (ctypes.py_object, ctypes.c_char_p)
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
_valid_at = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(("PyCapsule_IsValid", _api))
_pointer_at = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(("PyCapsule_GetPointer", _api))
_rename = _api.PyCapsule_SetName
_rename.restype, _rename.argtypes = ctypes.c_int, (ctypes.py_object, ctypes.c_char_p)

_NEW, _USED = b"dltensor", b"used_dltensor"
_alive: dict[int, tuple[Any, ...]] = {}  # what is handed out, by the address of its record


@_Deleter
def _forget(record: Any) -> None:
    _alive.pop(ctypes.addressof(record.contents), None)


@_Destructor
def _unused(capsule: int) -> None:
    """The end of a capsule that nobody took."""
    if _valid_at(capsule, _NEW):
        _alive.pop(_pointer_at(capsule, _NEW), None)


class Found(NamedTuple):
    """What a capsule holds; `keeper` keeps the memory alive."""

    pointer: int
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    dtype: np.dtype[Any]
    device: tuple[int, int]
    keeper: Any


def capsule(array: Any, device: tuple[int, int]) -> Any:
    """A capsule of an array with pointer, shape, strides and dtype, on that device."""
    ndim, kind = len(array.shape), array.dtype
    shape = (ctypes.c_int64 * max(ndim, 1))(*array.shape)
    strides = (ctypes.c_int64 * max(ndim, 1))(*(stride // kind.itemsize for stride in array.strides))
    tensor = _Tensor(array.pointer, _Device(*device), ndim, _Type(_KINDS[kind.kind], 8 * kind.itemsize, 1), shape,
                     strides, 0)  # fmt: skip
    record = _Managed(tensor, None, _forget)
    address = ctypes.addressof(record)
    _alive[address] = record, shape, strides, array
    return _new(address, _NEW, _unused)


class _Keeper:
    """Calls the deleter of what was taken from a capsule at its own end."""

    def __init__(self, record: _Managed) -> None:
        self.record = record

    def __del__(self) -> None:
        if self.record.deleter:
            self.record.deleter(ctypes.byref(self.record))


def taken(value: Any, stream: int | None) -> Found:
    """What lies behind `__dlpack__`, ready to be read on that stream."""
    held = value.__dlpack__() if stream is None else value.__dlpack__(stream=stream)
    if not _valid(held, _NEW):
        raise TypeError("expected a new capsule of a DLPack tensor")
    record = _Managed.from_address(_pointer(held, _NEW))
    tensor = record.tensor
    kind = _NAMES.get(tensor.type.code)
    if kind is None or tensor.type.lanes != 1:
        raise TypeError(f"expected real numbers, got DLPack's type {tensor.type.code} of {tensor.type.bits} bits")
    dtype = np.dtype(f"{kind}{tensor.type.bits // 8}")
    shape = tuple(tensor.shape[axis] for axis in range(tensor.ndim))
    strides = tuple(tensor.strides[axis] * dtype.itemsize for axis in range(tensor.ndim)) if tensor.strides else None
    _rename(held, _USED)  # the capsule's own end frees nothing any more
    return Found((tensor.data or 0) + tensor.offset, shape, strides, dtype,
                 (tensor.device.kind, tensor.device.number), _Keeper(record))  # fmt: skip
