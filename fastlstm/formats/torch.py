"""Weights from and to PyTorch's state dicts, and .safetensors files of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .. import checks
from ..checks import assemble
from ..files import file_name
from ..params import ROWS, AnyParams, Array, GRUParams, Layer, Params, ProjectedParams, cell_name, sizes
from ..types import Stack
from . import layers_of, safetensors_file
from .gates import gru_of, two_biases

_TORCH = re.compile(r"(weight|bias)_(ih|hh|hr)(?:_l(0|[1-9][0-9]{0,5})(_reverse)?)?")
_WRAPPERS = (
    "module.",
    "_orig_mod.",
    "module._orig_mod.",
    "_orig_mod.module.",
)  # what DataParallel and torch.compile put before all names
_BLOCKS = {1: ("one block", "a plain RNN's"), 3: ("three blocks", "a GRU's"), 4: ("four blocks", "an LSTM's")}
_ADVICE = {  # ends of names that stand in the place of weights, and what makes weights of them
    "_orig": "torch.nn.utils.prune.remove(module, name) makes pruning permanent",
    "_g": "torch.nn.utils.remove_weight_norm(module, name) makes weights of them",
    ".original0": "torch.nn.utils.parametrize.remove_parametrizations(module, name) makes weights of them",
}
_PICKLES = ".pt", ".pth", ".bin", ".pkl", ".ckpt"


def from_torch(state_dict: Mapping[str, Any] | str | os.PathLike[str], prefix: str = "") -> tuple[Layer, ...]:
    """The stack of a `torch.nn.LSTM` or a `torch.nn.GRU`, from its state_dict or a .safetensors file of it.

    PyTorch has the gates in our order, its weights are ours transposed, and it has two biases, which are added up. Only
    of a GRU's candidate they stay two: there `bias_hh` is b_n, on which the reset gate acts.

    Parameters
    ----------
    state_dict : mapping of str to tensor or array, or the path of a .safetensors file
        `weight_ih_l0` (4H, D), `weight_hh_l0` (4H, H), `bias_ih_l0` and `bias_hh_l0` (4H,), and so on for each layer;
        with `_reverse` behind the names of the other direction. Biases that are not there count as zeros. A GRU has 3H
        instead of 4H. An LSTM with projections (`proj_size`) also has `weight_hr_l0` (P, H), and its `weight_hh_l0` is
        (4H, P). A `torch.nn.LSTMCell` and a `torch.nn.GRUCell` have names without `_l0`. What `torch.nn.DataParallel`
        and `torch.compile` put before all names may be there.
    prefix : str
        What the names begin with in a bigger model's state_dict: "encoder.lstm", with a dot behind it or not. Other
        names are ignored then.

    Returns
    -------
    tuple of Params, ProjectedParams, GRUParams or Bidirectional
        A stack, also of a single layer. Copies; float32 where the numbers are float16 or bfloat16.

    Raises
    ------
    ImportError
        A path, and the package safetensors is missing.
    ValueError
        Missing or unknown names, projections of some layers and not of others, shapes that do not fit together, layers
        of an LSTM and of a GRU; a damaged file, or a pickle (.pt, .pth, .bin), which may run anything when it is read.
    TypeError
        No mapping; types other than float32, float64 and the half ones.
    OSError
        The file cannot be read.

    Examples
    --------
    >>> import fastlstm
    >>> params = fastlstm.init_params(16, 32, rng=0)
    >>> (layer,) = fastlstm.from_torch(fastlstm.to_torch(params))
    >>> bool((layer.W == params.W).all())
    True
    """
    _before(prefix)  # of another type it is refused before any file is opened
    if isinstance(state_dict, (str, os.PathLike)):
        return _from_file(state_dict, prefix)
    if not isinstance(state_dict, Mapping):
        raise TypeError("state_dict: expected a mapping of names to arrays, or the path of a .safetensors file, got "
                        f"{type(state_dict).__name__}")  # fmt: skip
    own = _own_names(state_dict, prefix)
    found = {key: _tensor(f"state_dict[{full!r}]", state_dict[full]) for key, full in own.items()}
    return _stack(found, own)


def _from_file(path: str | os.PathLike[str], prefix: str) -> tuple[Layer, ...]:
    name = _no_pickle(path)
    with safetensors_file.opened(name) as file:
        own = _own_names(file.names, prefix)
        found = {key: file.read(full) for key, full in own.items()}
        try:
            return _stack(found, own)
        except TypeError as error:  # the caller's types are right, the file's content is not
            raise ValueError(f"{error} in {name!r}") from error


def _no_pickle(path: str | os.PathLike[str]) -> str:
    """The name of a file that is no pickle."""
    name = file_name(path)
    stem, suffix = os.path.splitext(name)
    if suffix.lower() in _PICKLES:
        raise ValueError(
            f"state_dict: expected a .safetensors file, got {name!r}, a pickle, which may run anything when it is "
            "read. Where you trust it, these two lines turn it into one:\n"
            f"state = torch.load({name!r}, map_location='cpu', weights_only=True)\n"
            f"safetensors.torch.save_file({{k: v.clone().contiguous() for k, v in state.items()}}, "
            f"{stem + '.safetensors'!r})"
        )  # fmt: skip
    return name


def _before(prefix: Any) -> str:
    """What stands before the names of the module that prefix says."""
    if not isinstance(prefix, str):
        raise TypeError(f"prefix: expected a str, got {type(prefix).__name__}")
    return prefix if not prefix or prefix.endswith(".") else f"{prefix}."


def _own_names(names: Iterable[Any], prefix: str) -> dict[str, str]:
    """Names without what stands before them -> as they are, of the module that prefix says."""
    every = list(names)
    strange = [key for key in every if not isinstance(key, str)]
    if strange:
        raise ValueError(f"state_dict: expected names such as 'weight_ih_l0', got {strange[0]!r:.60}")
    before = _before(prefix)
    for wrapper in ("", *_WRAPPERS):
        start = wrapper + before
        own = {key.removeprefix(start): key for key in every if key.startswith(start)}
        direct = [key for key in own if "." not in key] if prefix else list(own)
        if any(_TORCH.fullmatch(key) for key in direct) and (prefix or len(own) == len(every)):
            unknown = [key for key in direct if _kind(key) is None]
            if unknown:
                raise ValueError(_unknown(every, unknown[0], own[unknown[0]], prefix))
            return {key: own[key] for key in direct}
    if prefix:
        raise ValueError(f"prefix: expected what names of an LSTM or a GRU begin with, got {prefix!r}; {_found(every)}")
    raise ValueError(_unknown(every, every[0] if every else "", every[0] if every else "", prefix))


def _kind(key: str) -> re.Match[str] | None:
    """The parts of a name, where it is one of PyTorch's."""
    match = _TORCH.fullmatch(key)
    return None if match is None or (match[1], match[2]) == ("bias", "hr") else match


def _unknown(every: list[str], key: str, full: str, prefix: str) -> str:
    """What to say of a name that is none of PyTorch's."""
    for end, advice in _ADVICE.items():
        if key.endswith(end) and "weight_" in key:
            return f"state_dict: expected weights as they are, got {full!r}; {advice}"
    hint = "" if prefix else f"; no prefix given, {_found(every)}"
    return f"state_dict: expected names such as 'weight_ih_l0' or 'bias_hh_l1', got {full!r}{hint}"


def _found(every: list[str]) -> str:
    """The prefixes below which there is an LSTM or a GRU."""
    there = dict.fromkeys(
        key[: len(key) - len(last)]
        for key in every
        if (last := key.rpartition(".")[2]) and (match := _kind(last)) is not None and match[2] == "hh"
    )
    some = [repr(one) for one in there if one]
    if "" in there:
        some.append("nothing, which those without a dot do")
    if not some:
        return f"there are none of either: names are {', '.join(map(repr, every[:6])) or 'missing'}"
    return f"names of an LSTM or a GRU begin with {' or '.join(some[:12])}" + (" and others" if len(some) > 12 else "")


def _tensor(name: str, value: Any) -> Array:
    """As an array; value may be a tensor, on any device, with or without a gradient."""
    if not isinstance(value, np.ndarray) and hasattr(value, "numpy"):
        try:
            if str(value.dtype) == "torch.bfloat16":  # which NumPy has not
                value = value.float()
            value = value.numpy(force=True)
        except Exception as error:  # a type that NumPy has not
            kind = type(value).__name__
            raise TypeError(f"{name}: expected float32 or float64, got a {kind} that NumPy refuses") from error
    if isinstance(value, np.ndarray) and value.dtype.name in ("float16", "bfloat16"):
        value = value.astype(np.float32)
    return checks.array(name, value)


def _stack(arrays: Mapping[str, Array], names: Mapping[str, str]) -> tuple[Layer, ...]:
    """names: what each array is called in the whole, for messages."""
    tree: dict[int, dict[bool, dict[str, Array]]] = {}
    spelt = {key: match.groups() for key in arrays if (match := _kind(key)) is not None}
    single = [key for key, (_, _, number, _) in spelt.items() if number is None]
    if single and len(single) < len(arrays):
        raise ValueError("state_dict: expected names of layers, such as 'weight_ih_l0', or of a cell, such as "
                         f"'weight_ih', got both: {', '.join(map(repr, names.values()))}")  # fmt: skip
    for key, (kind, what, number, turned) in spelt.items():
        tree.setdefault(int(number or 0), {}).setdefault(turned is not None, {})[f"{kind}_{what}"] = arrays[key]
    if sorted(tree) != list(range(len(tree))):
        raise ValueError(f"state_dict: expected layers l0, l1 and so on, got {list(names.values())}")
    start = next(full.removesuffix(key) for key, full in names.items())
    record = _record_of(tree)
    levels = [
        [
            _direction(
                ways.get(turned, {}), start, "" if single else f"_l{number}{'_reverse' if turned else ''}", record
            )
            for turned in (False, True)[: 1 + (True in ways)]
        ]
        for number, ways in sorted(tree.items())
    ]
    found = checks.weights(assemble(levels, True), "state_dict layers")
    return tuple(assemble(found.levels, True))


def _record_of(tree: Mapping[int, Mapping[bool, Mapping[str, Array]]]) -> type[AnyParams]:
    """What all layers become: a GRU has three blocks of rows, an LSTM four."""
    if any("weight_hr" in arrays for ways in tree.values() for arrays in ways.values()):
        return ProjectedParams
    hh = tree[0].get(False, {}).get("weight_hh")
    return GRUParams if hh is not None and hh.ndim == 2 and len(hh) == 3 * hh.shape[1] else Params


def _direction(arrays: Mapping[str, Array], before: str, suffix: str, record: type[AnyParams]) -> AnyParams:
    """One direction of a layer; before and suffix: what stands around its names."""
    projected = record is ProjectedParams

    def full(key: str) -> str:
        return f"{before}{key}{suffix}"

    biases = {"bias_ih", "bias_hh"} & set(arrays)
    for needed in ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if biases else ())):
        if needed not in arrays:
            raise ValueError(f"state_dict: expected {full(needed)!r}, got none")
    if projected and "weight_hr" not in arrays:
        raise ValueError(f"state_dict: expected {full('weight_hr')!r}, as others have a projection, got none")
    ih, hh = arrays["weight_ih"], arrays["weight_hh"]
    rows, H = _rows(full("weight_hh"), hh, record)
    if ih.ndim != 2 or ih.shape[0] != rows:
        raise ValueError(f"state_dict[{full('weight_ih')!r}]: expected shape ({rows}, D), got {ih.shape}")
    if projected and arrays["weight_hr"].shape != (hh.shape[1], H):
        found = arrays["weight_hr"].shape
        raise ValueError(f"state_dict[{full('weight_hr')!r}]: expected shape ({hh.shape[1]}, {H}), got {found}")
    kind = ih.dtype.newbyteorder("=")
    for key, array in arrays.items():
        if array.dtype.newbyteorder("=") != kind or kind not in (np.float32, np.float64):
            expected = "float32 or float64, one for all"
            raise TypeError(f"state_dict[{full(key)!r}]: expected {expected}, got {array.dtype}")
        if key in biases and array.shape != (rows,):
            raise ValueError(f"state_dict[{full(key)!r}]: expected shape ({rows},), got {array.shape}")
    one, two = (arrays["bias_ih"], arrays["bias_hh"]) if biases else (np.zeros(rows, kind), np.zeros(rows, kind))
    if record is GRUParams:
        made: AnyParams = gru_of(ih.T, hh.T, one, two)
    else:
        made = record(**{"W": ih.T, "U": hh.T, "b": one + two} | ({"V": arrays["weight_hr"].T} if projected else {}))
    return record(*(np.array(array, dtype=kind, order="C") for array in made))


def _rows(name: str, hh: Array, record: type[AnyParams]) -> tuple[int, int]:
    """Rows of recurrent weights, and H."""
    blocks, projected = len(ROWS[record].gates), record is ProjectedParams
    rows, P = hh.shape if hh.ndim == 2 else (0, 0)
    H, rest = divmod(rows, blocks)
    if rest or not 1 <= P <= H or (P < H and not projected):
        usual = (
            "(3H, H), as layer l0 is a GRU's" if record is GRUParams else "(4H, H), or (3H, H) in all layers of a GRU"
        )
        expected = "(4H, P) with P from 1 to H" if projected else usual
        there = rows // P if P and rows % P == 0 else 0
        seen = f"; {_BLOCKS[there][0]} of rows: these are {_BLOCKS[there][1]} weights" if there in _BLOCKS else ""
        raise ValueError(f"state_dict[{name!r}]: expected shape {expected}, got {hh.shape}{seen}")
    return rows, H


def to_torch(params: Stack, prefix: str = "", path: str | os.PathLike[str] | None = None) -> dict[str, Array]:
    """Weights under the names of a `torch.nn.LSTM`'s or a `torch.nn.GRU`'s state_dict.

    Parameters
    ----------
    params : Params, ProjectedParams, GRUParams, Bidirectional, what `pack` makes of them, or a stack of these
        All of one cell, one hidden size and one output size, and all with one direction or all with two, as in
        torch.nn.LSTM and torch.nn.GRU.
    prefix : str
        What the names begin with: "encoder.lstm", with a dot behind it or not.
    path : str or path-like, optional
        A .safetensors file to write too. If that fails, the file that was there before is left as it was.

    Returns
    -------
    dict of str to ndarray
        Copies. b is in `bias_ih`, and `bias_hh` is zero, but for b_n of a GRU. V is in `weight_hr`.

    Raises
    ------
    ImportError
        A path, and the package safetensors is missing.
    ValueError
        Layers that no module of torch has together, or a projection that does not make h narrower; a
        path that ends otherwise.
    TypeError
        A layer of another cell.
    ValueError, TypeError
        Weights that make no sense.
    OSError
        The file cannot be written.

    Notes
    -----
    A `torch.nn.LSTMCell` has the same names without ``_l0``; a module with bias=False has none that begin with bias.

    Examples
    --------
    ``lstm.load_state_dict({k: torch.from_numpy(v) for k, v in to_torch(params).items()})`` loads them.

    >>> import fastlstm
    >>> sorted(fastlstm.to_torch(fastlstm.init_params(16, 32)))
    ['bias_hh_l0', 'bias_ih_l0', 'weight_hh_l0', 'weight_ih_l0']
    """
    levels, _ = layers_of(params)
    cells = [cell_name(type(layer)) for level in levels for layer in level]
    if not {"standard", "projected", "gru"}.issuperset(cells):
        raise TypeError("params: expected layers of the standard, the projected or the gru cell, as torch has, got one "
                        f"of another ({', '.join(cells)})")  # fmt: skip
    kinds = {(cell_name(type(level[0])), *sizes(level[0])[1:], len(level)) for level in levels}
    if len(kinds) > 1:
        raise ValueError("params: expected one cell, one hidden size, one output size and one number of directions in "
                         "all layers, got " + ", ".join(f"{cell} with H, P = {H}, {P} in {ways} direction(s)"
                                                        for cell, H, P, ways in sorted(kinds)))  # fmt: skip
    ((cell, H, P, _),) = kinds
    if cell == "projected" and P == H:
        raise ValueError(f"params: expected P below H = {H}, as torch.nn.LSTM's proj_size is, got P = {P}")
    before = _before(prefix)
    named: dict[str, Array] = {}
    for number, level in enumerate(levels):
        for way, layer in enumerate(level):
            suffix = f"_l{number}{'_reverse' if way else ''}"
            named[f"{before}weight_ih{suffix}"] = np.array(layer.W.T, order="C")
            named[f"{before}weight_hh{suffix}"] = np.array(layer.U.T, order="C")
            named[f"{before}bias_ih{suffix}"], named[f"{before}bias_hh{suffix}"] = map(np.array, two_biases(layer))
            if isinstance(layer, ProjectedParams):
                named[f"{before}weight_hr{suffix}"] = np.array(layer.V.T, order="C")
    if path is not None:
        name = file_name(path)
        if not name.lower().endswith(safetensors_file.SUFFIX):
            raise ValueError(f"path: expected a name that ends in {safetensors_file.SUFFIX}, got {name!r}")
        safetensors_file.save(name, named)
    return named
