"""What an HDF5 file holds: groups, attributes and arrays, of the layout that h5py writes unless told otherwise.

A file from elsewhere may be damaged, or mean harm, and HDF5's own library crashes or hangs on some such files. So this
reads them itself: each place and size is held against the file before anything of such a size is made, and no link is
followed, to another place or another file. The layout is that of the HDF5 File Format Specification, version 3.0:
superblocks of version 0 and 1, groups by symbol tables, object headers of version 1, arrays in one piece, in the
header, or in chunks by a B-tree.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from typing import IO, NamedTuple, TypeAlias

import numpy as np

from ..params import Array

SIGNATURE = b"\x89HDF\r\n\x1a\n"
Attribute: TypeAlias = "str | list[str] | Array"
_NOWHERE = 2**64 - 1
_LOOKS = 200_000  # into the file, for structure: what a file of thousands of layers needs, in less than a second
_DEEP = 32  # groups within groups
_BFLOAT16 = "bfloat16"
# numbers of messages in an object's header
_DATASPACE, _DATATYPE, _LINK_INFO, _LINK, _EXTERNAL, _LAYOUT, _FILTERS, _ATTRIBUTE = 1, 3, 2, 6, 7, 8, 11, 12
_CONTINUATION, _ATTRIBUTE_INFO, _SYMBOL_TABLE = 16, 21, 17
_FLOATS = {(5, 10): "f2", (8, 23): "f4", (11, 52): "f8", (8, 7): _BFLOAT16}  # bits of the exponent and the mantissa


class Damaged(ValueError):
    """What a file says of itself does not fit together, or is not read here."""


class NotTaken(Damaged):
    """A sound file of the right kind, of something that is not there or not asked for."""


def room_of(size: int) -> int:
    """Bytes that what is compressed in a file of that size may take."""
    return (64 << 20) + 4 * size


class _Message(NamedTuple):
    kind: int
    shared: bool
    data: bytes


class _Type(NamedTuple):
    """A datatype: kind is "number", "text" (of a fixed size) or "string" (of any)."""

    kind: str
    size: int
    dtype: str = ""


class _Part:
    """A piece of the file that is read from its beginning on; never beyond its end."""

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def take(self, count: int) -> bytes:
        if not 0 <= count <= len(self._data) - self.at:
            raise Damaged(f"expected {count} more bytes of an entry of {len(self._data)}, got its end")
        self.at += count
        return self._data[self.at - count : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def align(self) -> None:
        """To the next multiple of 8, or the end."""
        self.at = min(-(-self.at // 8) * 8, len(self._data))

    @property
    def left(self) -> int:
        return len(self._data) - self.at


class Dataset:
    """An array in the file, whose numbers are not read yet.

    Attributes
    ----------
    shape : tuple of int
    """

    def __init__(self, file: File, name: str, messages: list[_Message]) -> None:
        self._file, self._name, self._messages = file, name, messages
        self.shape = _shape(_only(messages, _DATASPACE, name))

    def read(self) -> Array:
        """Its numbers: integers, float32 or float64; float32 where the file has float16 or bfloat16.

        Raises
        ------
        Damaged
            No numbers, sizes that do not fit, data outside of the file.
        """
        kind = _type(_only(self._messages, _DATATYPE, self._name), self._name)
        if kind.kind != "number":
            raise Damaged(f"expected numbers in {self._name!r}, got text")
        if any(one.kind == _EXTERNAL for one in self._messages):
            raise Damaged(f"expected the numbers of {self._name!r} in this file, got a name of another")
        size = math.prod(self.shape) * kind.size
        layout = _Part(_only(self._messages, _LAYOUT, self._name))
        version, way = layout.number(1), layout.number(1)
        if version != 3 or way > 2:
            raise Damaged(f"expected the layout of {self._name!r} to be of version 3, got {version}, {way}")
        filters = [one.data for one in self._messages if one.kind == _FILTERS]
        if way == 2:
            raw = self._chunks(layout, filters, kind.size)
        else:
            if filters:
                raise Damaged(f"expected filters on chunks alone, got them on {self._name!r}")
            raw = self._whole(layout, way, size)
        return _numbers(raw, kind, self.shape)

    def _whole(self, layout: _Part, way: int, size: int) -> bytes:
        """Of an array in one piece, or in the header."""
        if way == 0:
            there, raw = layout.number(2), layout.take(layout.left)
            raw = raw[:there]
        else:
            place, there = layout.number(8), layout.number(8)
            if size and place == _NOWHERE:
                raise Damaged(f"expected numbers of {self._name!r}, got none")
            raw = self._file.read(place, there) if there == size and size else b""
        if there != size or len(raw) != size:
            raise Damaged(f"expected {size} bytes of {self._name!r}, of shape {self.shape}, got {there}")
        return raw

    def _chunks(self, layout: _Part, filters: list[bytes], itemsize: int) -> bytes:
        """Of an array in pieces of one size, each of which may be compressed."""
        axes, root = layout.number(1) - 1, layout.number(8)
        sides = tuple(layout.number(4) for _ in range(axes))
        if axes != len(self.shape) or not all(sides) or layout.number(4) != itemsize:
            raise Damaged(f"expected chunks of {len(self.shape)} axes of {self._name!r}, got sides {sides}")
        size, whole = math.prod(sides) * itemsize, math.prod(self.shape) * itemsize
        self._file.make_room(size + 2 * whole, self._name)
        steps = _filters(filters, self._name)
        found = np.zeros(self.shape, np.dtype((np.void, itemsize)))
        missing = math.prod(-(-n // side) for n, side in zip(self.shape, sides, strict=True))
        seen = set()
        for corner, raw in self._file.chunks(root, axes, self._name) if missing else ():
            if corner in seen or any(a >= n or a % side for a, n, side in zip(corner, self.shape, sides, strict=True)):
                raise Damaged(f"expected each chunk of {self._name!r} once, got one at {corner}")
            seen.add(corner)
            piece = np.frombuffer(_unfiltered(raw, steps, size, itemsize), found.dtype).reshape(sides)
            where = tuple(slice(a, min(a + side, n)) for a, n, side in zip(corner, self.shape, sides, strict=True))
            found[where] = piece[tuple(slice(0, one.stop - one.start) for one in where)]
        if len(seen) != missing:
            raise Damaged(f"expected {missing} chunks of {self._name!r}, got {len(seen)}")
        return found.tobytes()


class Group:
    """A group: `names`, `in`, and `group[name]`, which is a Group or a Dataset; `attributes` by their names."""

    def __init__(self, file: File, name: str, messages: list[_Message], depth: int) -> None:
        self._file, self._name, self._depth, self._messages = file, name, depth, messages
        self._places: dict[str, int] | None = None

    @property
    def attributes(self) -> dict[str, Attribute]:
        """str, a list of str, or an array."""
        if any(one.kind == _ATTRIBUTE_INFO for one in self._messages):
            raise Damaged(f"expected the attributes of {self._name!r} in its header, got them elsewhere")
        own = [one.data for one in self._messages if one.kind == _ATTRIBUTE]
        return dict(_attribute(self._file, data, self._name) for data in own)

    @property
    def last(self) -> str:
        """The last part of its name."""
        return self._name.rpartition("/")[2]

    def _found(self) -> dict[str, int]:
        if self._places is None:
            if any(one.kind in (_LINK, _LINK_INFO) for one in self._messages):
                raise Damaged(f"expected entries of {self._name!r} in this file, got links, to other files perhaps")
            table = _Part(_only(self._messages, _SYMBOL_TABLE, self._name))
            self._places = self._file.entries(table.number(8), table.number(8), self._name)
        return self._places

    def names(self) -> list[str]:
        """Of what is in it."""
        return list(self._found())

    def __contains__(self, name: str) -> bool:
        return name in self._found()

    def __getitem__(self, name: str) -> Group | Dataset:
        if name not in self:
            raise Damaged(f"expected {name!r} in {self._name!r}, got none")
        return self._file.thing(self._found()[name], f"{self._name.rstrip('/')}/{name}", self._depth + 1)

    def group(self, path: str) -> Group:
        """The group at that path of names with slashes between."""
        found: Group | Dataset = self
        for name in path.split("/"):
            if not isinstance(found, Group):
                break
            found = found[name]
        if not isinstance(found, Group):
            raise Damaged(f"expected a group {path!r} in {self._name!r}, got an array")
        return found

    def dataset(self, path: str) -> Dataset:
        """The array at that path."""
        folder, _, name = path.rpartition("/")
        found = (self.group(folder) if folder else self)[name]
        if not isinstance(found, Dataset):
            raise Damaged(f"expected an array {path!r} in {self._name!r}, got a group")
        return found


class File:
    """A file's content; `root` is its outermost group.

    Parameters
    ----------
    source : binary file
        That can be sought in; stays open as long as this is used.

    Raises
    ------
    Damaged
        No HDF5 file, one of a layout that is not read here, sizes or places that do not fit.
    """

    def __init__(self, source: IO[bytes]) -> None:
        self._source, self._looks, self._heaps = source, 0, dict[int, dict[int, bytes]]()
        self.size = source.seek(0, 2)
        self._room = room_of(self.size)
        head = _Part(self.read(0, min(96, self.size)))
        if not head.left >= 8 or head.take(8) != SIGNATURE:
            raise Damaged("expected an HDF5 file, got another")
        version = head.number(1)
        if version > 1:
            raise Damaged(f"expected an HDF5 file of the layout that h5py writes unless told otherwise (superblock 0), "
                          f"got superblock {version}")  # fmt: skip
        head.take(4)
        if (head.number(1), head.number(1)) != (8, 8):
            raise Damaged("expected places and sizes of 8 bytes each in an HDF5 file")
        head.take(9 + 4 * version)
        base, _, end, _ = (head.number(8) for _ in range(4))
        if base or end > self.size:
            raise Damaged(f"expected an HDF5 file of {end} bytes from the beginning, got {self.size} from {base}: "
                          "it is cut off, perhaps")  # fmt: skip
        head.take(8)
        root = self.thing(head.number(8), "/", 0)
        if not isinstance(root, Group):
            raise Damaged("expected a group at the root of an HDF5 file, got an array")
        self.root = root

    def read(self, place: int, count: int) -> bytes:
        """Bytes of the file."""
        self._looks += 1
        if self._looks > _LOOKS:
            raise Damaged(f"expected a file that is read in {_LOOKS} looks, got one in circles, or too large")
        if not (0 <= place <= self.size and 0 <= count <= self.size - place):
            raise Damaged(f"expected all within the {self.size} bytes of the file, got {count} at {place}")
        self._source.seek(place)
        found = self._source.read(count)
        if len(found) != count:
            raise Damaged(f"expected {count} bytes at {place}, got {len(found)}")
        return found

    def make_room(self, count: int, name: str) -> None:
        """Before that many bytes are taken for what may be compressed."""
        self._room -= count
        if self._room < 0:
            raise Damaged(f"expected arrays that fit a file of {self.size} bytes, got one more of {count}: {name!r}")

    def thing(self, place: int, name: str, depth: int) -> Group | Dataset:
        """What has its header there."""
        if depth > _DEEP:
            raise Damaged(f"expected groups within groups {_DEEP} deep at most, got {name!r:.200}")
        messages = self._header(place, name)
        if any(one.kind == _DATASPACE for one in messages):
            return Dataset(self, name, messages)
        return Group(self, name, messages, depth)

    def _header(self, place: int, name: str) -> list[_Message]:
        head = _Part(self.read(place, 16))
        version, _, count, _, size = (head.number(n) for n in (1, 1, 2, 4, 4))
        if version != 1:
            raise Damaged(f"expected the header of {name!r} to be of version 1, got another")
        parts, found = [(place + 16, size)], list[_Message]()
        while parts and len(found) < count:
            part = _Part(self.read(*parts.pop(0)))
            while part.left >= 8 and len(found) < count:
                kind, length, flags, _ = (part.number(n) for n in (2, 2, 1, 3))
                found.append(_Message(kind, bool(flags & 2), part.take(length)))
                if kind == _CONTINUATION:
                    more = _Part(found[-1].data)
                    parts.append((more.number(8), more.number(8)))
        return found

    def entries(self, tree: int, heap: int, name: str) -> dict[str, int]:
        """Places of a group's entries by their names."""
        head = _Part(self.read(heap, 32))
        if head.take(4) != b"HEAP":
            raise Damaged(f"expected the names in {name!r}, got something else")
        head.take(4)
        size, _, start = (head.number(8) for _ in range(3))
        texts = self.read(start, size)
        found: dict[str, int] = {}
        for node in self._leaves(tree, 0, 8, 8, name):
            head = _Part(self.read(node[1], 8))
            if head.take(4) != b"SNOD":
                raise Damaged(f"expected entries in {name!r}, got something else")
            head.take(2)
            count = head.number(2)
            part = _Part(self.read(node[1] + 8, 40 * count))
            for _ in range(count):
                at, place, cached = part.number(8), part.number(8), part.number(4)
                part.take(20)
                text = texts[at : at + 4096].split(b"\0")[0] if at < size else b""
                key = _text(text, name)
                if cached == 2 or place == _NOWHERE:
                    raise Damaged(f"expected {key!r} in {name!r} to be there, got a link to somewhere else")
                if not key or "/" in key or key in found:
                    raise Damaged(f"expected each name in {name!r} once, got {key!r}")
                found[key] = place
        return found

    def chunks(self, root: int, axes: int, name: str) -> Iterator[tuple[tuple[int, ...], bytes]]:
        """The chunks of an array: where they belong, and their bytes as they are in the file."""
        for key, place in self._leaves(root, 1, 8 + 8 * (axes + 1), 8, name):
            size, left_out, *corner = struct.unpack(f"<II{axes + 1}Q", key)
            if left_out:
                raise Damaged(f"expected all filters on all chunks of {name!r}, got some without")
            yield tuple(corner[:-1]), self.read(place, size)

    def _leaves(self, place: int, kind: int, key: int, child: int, name: str) -> Iterator[tuple[bytes, int]]:
        """Key and child of each entry at the lowest level of a B-tree, in order."""
        waiting = [(place, -1)]
        while waiting:
            at, below = waiting.pop()
            head = _Part(self.read(at, 24))
            right = head.take(4) == b"TREE" and head.number(1) == kind
            level, count = head.number(1), head.number(2)
            if not right or (below >= 0 and level != below):
                raise Damaged(f"expected a B-tree in {name!r}, got something else")
            part = _Part(self.read(at + 24, count * (key + child)))
            found = [(part.take(key), part.number(child)) for _ in range(count)]
            if level:
                waiting += [(one, level - 1) for _, one in reversed(found)]
            else:
                yield from found

    def heap_object(self, place: int, number: int) -> bytes:
        """What an attribute of any length has elsewhere in the file."""
        if place not in self._heaps:
            head = _Part(self.read(place, 16))
            if head.take(4) != b"GCOL":
                raise Damaged("expected a heap of strings, got something else")
            head.take(4)
            size = head.number(8)
            part, found = _Part(self.read(place, size)), dict[int, bytes]()
            part.take(16)
            while part.left >= 16:
                index, _, _, length = (part.number(n) for n in (2, 2, 4, 8))
                if index == 0:
                    break
                found[index] = part.take(length)
                part.align()
            self._heaps[place] = found
        if number not in self._heaps[place]:
            raise Damaged(f"expected a string of number {number} in the heap at {place}, got none")
        return self._heaps[place][number]


def _only(messages: list[_Message], kind: int, name: str) -> bytes:
    """The one message of that kind."""
    found = [one for one in messages if one.kind == kind]
    if len(found) != 1 or found[0].shared:
        raise Damaged(f"expected {name!r} to say once what it is, got {len(found)} entries of number {kind}")
    return found[0].data


def _shape(data: bytes) -> tuple[int, ...]:
    part = _Part(data)
    version, axes, _ = (part.number(1) for _ in range(3))
    if version not in (1, 2) or axes > 32:
        raise Damaged(f"expected a shape of version 1 or 2 and at most 32 axes, got {version} and {axes}")
    if part.number(1) == 2 and version == 2:
        return (0,)  # nothing at all
    if version == 1:
        part.take(4)
    return tuple(part.number(8) for _ in range(axes))


def _type(data: bytes, name: str) -> _Type:
    part = _Part(data)
    first, bits, _, _, size = (part.number(n) for n in (1, 1, 1, 1, 4))
    kind, order = first & 15, ">" if bits & 1 else "<"
    if kind == 0 and size in (1, 2, 4, 8):
        return _Type("number", size, f"{order}{'i' if bits & 8 else 'u'}{size}")
    if kind == 1 and size in (2, 4, 8):
        part.take(5)
        known = _FLOATS.get((part.number(1), (part.take(1), part.number(1))[1]))
        if known is not None and not bits & 64:
            return _Type("number", size, known if known == _BFLOAT16 else order + known)
    if kind == 5 and size == 2:
        return _Type("number", 2, _BFLOAT16)  # two bytes that h5py has no type for, which Keras marks so
    if kind == 3:
        return _Type("text", size)
    if kind == 9 and bits & 15 == 1:
        return _Type("string", 16)
    raise Damaged(f"expected numbers or text in {name!r}, got a type of class {kind} and {size} bytes")


def _numbers(raw: bytes, kind: _Type, shape: tuple[int, ...]) -> Array:
    if kind.dtype == _BFLOAT16:
        return from_bfloat16(np.frombuffer(raw, "<u2")).reshape(shape)
    found = np.frombuffer(raw, kind.dtype).reshape(shape)
    half = found.dtype.kind == "f" and found.dtype.itemsize == 2
    return found.astype(np.float32 if half else found.dtype.newbyteorder("="))


def from_bfloat16(halves: Array) -> Array:
    """float32 numbers whose upper 16 bits these are."""
    return (halves.astype(np.uint32) << 16).view(np.float32)


def _text(raw: bytes, name: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Damaged(f"expected text in UTF-8 in {name!r}, got {raw[:40]!r}") from error


def _attribute(file: File, data: bytes, owner: str) -> tuple[str, Attribute]:
    part = _Part(data)
    version, flags = part.number(1), part.number(1)
    sizes = [part.number(2) for _ in range(3)]
    if version not in (1, 2, 3) or flags & 3:
        raise Damaged(f"expected attributes of version 1 to 3 of {owner!r}, got {version}, {flags}")
    part.take(int(version == 3))
    pieces = []
    for size in sizes:
        pieces.append(part.take(size))
        if version == 1:
            part.align()
    name = _text(pieces[0].split(b"\0")[0], owner)
    where = f"{owner} {name}"
    kind, shape = _type(pieces[1], where), _shape(pieces[2])
    count = math.prod(shape)
    if count * kind.size > part.left or (kind.size == 0 and count > 1):
        raise Damaged(f"expected {count * kind.size} bytes of {where!r}, of shape {shape}, got {part.left}")
    if kind.kind == "number":
        return name, _numbers(part.take(count * kind.size), kind, shape)
    texts = []
    for _ in range(count):
        if kind.kind == "text":
            raw = part.take(kind.size).rstrip(b"\0")
        else:
            length, place, number = part.number(4), part.number(8), part.number(4)
            raw = file.heap_object(place, number)[:length] if length else b""
        texts.append(_text(raw, where))
    return name, texts if shape else texts[0]


def _filters(found: list[bytes], name: str) -> list[int]:
    """Numbers of what was done to each chunk, in order: 1 is zlib's compression, 2 a shuffle of the bytes."""
    if not found:
        return []
    part = _Part(found[0])
    version, count = part.number(1), part.number(1)
    part.take(6 if version == 1 else 0)
    numbers = []
    for _ in range(count):
        number = part.number(2)
        length = part.number(2) if version == 1 or number > 255 else 0
        _, values = part.number(2), part.number(2)
        part.take(-(-length // 8) * 8 if version == 1 else length)
        part.take(4 * (values + (values & 1 if version == 1 else 0)))
        if number not in (1, 2, 3):
            raise Damaged(f"expected {name!r} as it is, or compressed by gzip, got filter {number}")
        numbers.append(number)
    return numbers


def _unfiltered(raw: bytes, steps: list[int], size: int, itemsize: int) -> bytes:
    for number in reversed(steps):
        if number == 3:  # a sum over the bytes behind them
            raw = raw[:-4]
        elif number == 1:
            machine = zlib.decompressobj()
            try:
                raw = machine.decompress(raw, size + 1)
            except zlib.error as error:
                raise Damaged(f"expected a chunk that gzip wrote, got one that it cannot read ({error})") from error
        elif number == 2 and itemsize > 1:
            raw = np.frombuffer(raw, np.uint8)[: len(raw) // itemsize * itemsize].reshape(itemsize, -1).T.tobytes()
    if len(raw) != size:
        raise Damaged(f"expected a chunk of {size} bytes, got {len(raw)}")
    return raw
