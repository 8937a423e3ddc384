"""Makes torch_golden.npz: what torch.nn.LSTM answers, forward and backward, in float64.

python tests/data/make_torch_golden.py     # needs torch
"""

from pathlib import Path

import numpy as np
import torch

CASES = {  # layers, both directions, lengths
    "single": (1, False, None),
    "stack": (2, False, None),
    "both": (1, True, None),
    "stack_both_lengths": (2, True, [6, 1, 4, 7]),
}
N, T, D, H = 4, 7, 3, 5


def main() -> None:
    arrays = {}
    for number, (name, (layers, both, lengths)) in enumerate(CASES.items()):
        torch.manual_seed(number)
        lstm = torch.nn.LSTM(D, H, layers, bidirectional=both, batch_first=True, dtype=torch.float64)
        ways = layers * (2 if both else 1)
        x, h, c = (
            torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((N, T, D), (ways, N, H), (ways, N, H))
        )
        if lengths is None:
            y, (hn, cn) = lstm(x, (h, c))
        else:
            packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            y, (hn, cn) = lstm(packed, (h, c))
            y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=T)
        dy, dh, dc = (torch.randn_like(a) for a in (y, hn, cn))
        ((y * dy).sum() + (hn * dh).sum() + (cn * dc).sum()).backward()
        found = {
            "x": x,
            "h": h,
            "c": c,
            "y": y,
            "hn": hn,
            "cn": cn,
            "dy": dy,
            "dhn": dh,
            "dcn": dc,
            "gx": x.grad,
            "gh": h.grad,
            "gc": c.grad,
        }
        found |= {f"weights.{k}": v for k, v in lstm.state_dict().items()}
        found |= {f"grads.{k}": v.grad for k, v in lstm.named_parameters()}
        arrays |= {f"{name}/{k}": v.detach().numpy() for k, v in found.items()}
        if lengths is not None:
            arrays[f"{name}/lengths"] = np.array(lengths)
    np.savez_compressed(Path(__file__).parent / "torch_golden.npz", **arrays)


if __name__ == "__main__":
    main()
