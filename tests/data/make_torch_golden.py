"""Makes torch_golden.npz: what torch.nn.LSTM answers, forward and backward, in float64.

Cases that the file holds already stay as they are, bit for bit: PyTorch's last bits are not the same on every machine.

python tests/data/make_torch_golden.py     # needs torch
"""

from pathlib import Path

import numpy as np
import torch

CASES = {  # layers, both directions, lengths, size of the projection; each one's place is its seed
    "single": (1, False, None, 0),
    "stack": (2, False, None, 0),
    "both": (1, True, None, 0),
    "stack_both_lengths": (2, True, [6, 1, 4, 7], 0),
    "projected": (1, False, None, 3),
    "projected_stack_both": (2, True, None, 2),
}
N, T, D, H = 4, 7, 3, 5
FILE = Path(__file__).parent / "torch_golden.npz"


def main() -> None:
    arrays = dict(np.load(FILE)) if FILE.exists() else {}
    there = {key.split("/")[0] for key in arrays}
    for number, (name, (layers, both, lengths, P)) in enumerate(CASES.items()):
        if name in there:
            continue
        torch.manual_seed(number)
        options = {"bidirectional": both, "batch_first": True, "dtype": torch.float64, "proj_size": P}
        lstm = torch.nn.LSTM(D, H, layers, **options)
        ways = layers * (2 if both else 1)
        x, h, c = (
            torch.randn(s, dtype=torch.float64, requires_grad=True)
            for s in ((N, T, D), (ways, N, P or H), (ways, N, H))
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
    np.savez_compressed(FILE, **arrays)


if __name__ == "__main__":
    main()
