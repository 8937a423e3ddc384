"""Weights from and to PyTorch's state dicts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import checks
from ..checks import assemble
from ..params import ROWS, AnyParams, Array, GRUParams, Params, ProjectedParams, cell_name, sizes
from ..types import Stack
from . import layers_of

_TORCH = re.compile(r"(weight|bias)_(ih|hh|hr)_l(0|[1-9][0-9]{0,5})(_reverse)?")


def _tensor(name: str, value: Any) -> Array:
    """As an array; value may be a tensor, on any device, with or without a gradient."""
    if not isinstance(value, np.ndarray) and hasattr(value, "numpy"):
        try:
            value = value.numpy(force=True)
        except Exception as error:  # a type that NumPy has not
            kind = type(value).__name__
            raise TypeError(f"{name}: expected float32 or float64, got a {kind} that NumPy refuses") from error
    return checks.array(name, value)


def from_torch(state_dict: Mapping[str, Any]) -> tuple[Any, ...]:
    """The stack of a `torch.nn.LSTM` or a `torch.nn.GRU`, from its state_dict.

    PyTorch's gates are in the order of ours and its weights transposed; its two biases are added up. Of a GRU's
    candidate they are not: `bias_hh` is b_n there, on which the reset gate acts.

    Parameters
    ----------
    state_dict : mapping of str to tensor or array
        `weight_ih_l0` (4H, D), `weight_hh_l0` (4H, H), `bias_ih_l0` and `bias_hh_l0` (4H,), and so on for each
        layer, with `_reverse` behind the names of the other direction. Without biases they are zeros. Of an LSTM
        with projections (`proj_size`) also `weight_hr_l0` (P, H), and `weight_hh_l0` is (4H, P). Of a GRU 3H in the
        place of 4H.

    Returns
    -------
    tuple of Params, ProjectedParams, GRUParams or Bidirectional
        A stack, also of a single layer. Copies.

    Raises
    ------
    ValueError
        Missing or unknown names, projections of some layers and not of others, shapes that do not fit together, layers
        of an LSTM and of a GRU.
    TypeError
        No mapping; types other than float32 and float64.

    Examples
    --------
    >>> import fastlstm
    >>> params = fastlstm.init_params(16, 32, rng=0)
    >>> (layer,) = fastlstm.from_torch(fastlstm.to_torch(params))
    >>> bool((layer.W == params.W).all())
    True
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"state_dict: expected a mapping of names to arrays, got {type(state_dict).__name__}")
    tree: dict[int, dict[bool, dict[str, Array]]] = {}
    for key, value in state_dict.items():
        match = _TORCH.fullmatch(key) if isinstance(key, str) else None
        if match is None or (match[1], match[2]) == ("bias", "hr"):
            raise ValueError(f"state_dict: expected names such as 'weight_ih_l0' or 'bias_hh_l1', got {key!r}")
        array = _tensor(f"state_dict[{key!r}]", value)
        ways = tree.setdefault(int(match[3]), {})
        ways.setdefault(match[4] is not None, {})[f"{match[1]}_{match[2]}"] = array
    if sorted(tree) != list(range(len(tree))) or not tree:
        raise ValueError(f"state_dict: expected layers l0, l1 and so on, got {list(state_dict)}")
    record = _record_of(tree)
    levels = [
        [_from_torch_direction(number, ways, turned, record) for turned in (False, True)[: 1 + (True in ways)]]
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


def _from_torch_direction(
    number: int, ways: Mapping[bool, Mapping[str, Array]], turned: bool, record: type[AnyParams]
) -> AnyParams:
    projected, blocks = record is ProjectedParams, len(ROWS[record].gates)
    suffix = f"_l{number}{'_reverse' if turned else ''}"
    arrays = ways.get(turned, {})
    biases = {"bias_ih", "bias_hh"} & set(arrays)
    for needed in ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if biases else ())):
        if needed not in arrays:
            raise ValueError(f"state_dict: expected {needed + suffix!r}, got none")
    if projected and "weight_hr" not in arrays:
        raise ValueError(f"state_dict: expected {'weight_hr' + suffix!r}, as others have a projection, got none")
    ih, hh = arrays["weight_ih"], arrays["weight_hh"]
    rows, P = hh.shape if hh.ndim == 2 else (0, 0)
    H, rest = divmod(rows, blocks)
    if rest or not 1 <= P <= H or (P < H and not projected):
        usual = (
            "(3H, H), as layer l0 is a GRU's" if record is GRUParams else "(4H, H), or (3H, H) in all layers of a GRU"
        )
        expected = "(4H, P) with P from 1 to H" if projected else usual
        raise ValueError(f"state_dict['weight_hh{suffix}']: expected shape {expected}, got {hh.shape}")
    if ih.ndim != 2 or ih.shape[1] < 1 or len(ih) != rows:
        raise ValueError(f"state_dict['weight_ih{suffix}']: expected shape ({rows}, D), got {ih.shape}")
    if projected and arrays["weight_hr"].shape != (P, H):
        found = arrays["weight_hr"].shape
        raise ValueError(f"state_dict['weight_hr{suffix}']: expected shape ({P}, {H}), got {found}")
    kind = ih.dtype.newbyteorder("=")
    for key, array in arrays.items():
        if array.dtype.newbyteorder("=") != kind or kind not in (np.float32, np.float64):
            expected = "float32 or float64, one for all"
            raise TypeError(f"state_dict[{key + suffix!r}]: expected {expected}, got {array.dtype}")
        if key in biases and array.shape != (rows,):
            raise ValueError(f"state_dict[{key + suffix!r}]: expected shape ({rows},), got {array.shape}")
    one, two = (arrays["bias_ih"], arrays["bias_hh"]) if biases else (np.zeros(rows, kind), np.zeros(rows, kind))
    if record is GRUParams:  # the candidate's biases are two
        n = slice(2 * H, None)
        b = np.concatenate((one[: 2 * H] + two[: 2 * H], one[n]))
        fields = {"W": ih.T, "U": hh.T, "b": b, "b_n": two[n]}
    else:
        fields = {"W": ih.T, "U": hh.T, "b": one + two} | ({"V": arrays["weight_hr"].T} if projected else {})
    return record(**{field: np.array(a, dtype=kind, order="C") for field, a in fields.items()})


def to_torch(params: Stack) -> dict[str, Array]:
    """Weights under the names of a `torch.nn.LSTM`'s or a `torch.nn.GRU`'s state_dict.

    Parameters
    ----------
    params : Params, ProjectedParams, GRUParams, Bidirectional, what `pack` makes of them, or a stack of these
        All of one cell, one hidden size and one output size, and all with one direction or all with two, as in
        torch.nn.LSTM and torch.nn.GRU.

    Returns
    -------
    dict of str to ndarray
        Copies. The bias stands in `bias_ih`; `bias_hh` is zero, but for b_n of a GRU. V stands in `weight_hr`.

    Raises
    ------
    ValueError
        Layers that no module of torch has together, or a projection that does not make h narrower.
    TypeError
        A layer of another cell.
    ValueError, TypeError
        Weights that make no sense.

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
    named: dict[str, Array] = {}
    for number, level in enumerate(levels):
        for way, layer in enumerate(level):
            suffix = f"_l{number}{'_reverse' if way else ''}"
            named[f"weight_ih{suffix}"] = np.array(layer.W.T, order="C")
            named[f"weight_hh{suffix}"] = np.array(layer.U.T, order="C")
            named[f"bias_ih{suffix}"] = np.array(layer.b)
            named[f"bias_hh{suffix}"] = np.zeros_like(named[f"bias_ih{suffix}"])
            if isinstance(layer, GRUParams):
                named[f"bias_hh{suffix}"][2 * H :] = layer.b_n
            if isinstance(layer, ProjectedParams):
                named[f"weight_hr{suffix}"] = np.array(layer.V.T, order="C")
    return named
