"""ONNX files of LSTM and GRU nodes with every option, and what onnxruntime makes of them: onnx_golden.npz.

Written with onnx.helper alone, by nothing of this package. Run it where onnx and onnxruntime are installed.

    python tests/data/make_onnx_golden.py
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

N, T, D, H = 3, 5, 2, 4
LENGTHS = np.array([5, 2, 4], np.int32)
OUR_OPSETS = (7, 11, 14, 22)


def file_of(number, kind, direction="forward", opset=14, *, bias=True, peepholes=False, constants=False,
            state=False, **attributes):  # fmt: skip
    """A model of one node, x (T, N, D) to Y (T, ways, N, H) and Y_h, with lengths coming in."""
    rng = np.random.default_rng(number)
    ways, K = (2 if direction == "bidirectional" else 1), (4 if kind == "LSTM" else 3)
    arrays = {"W": (ways, K * H, D), "R": (ways, K * H, H)}
    arrays |= {"B": (ways, 2 * K * H)} if bias else {}
    arrays |= {"P": (ways, 3 * H)} if peepholes else {}
    arrays |= {"h": (ways, N, H)} if state else {}
    arrays |= {"c": (ways, N, H)} if state and kind == "LSTM" else {}
    tensors = {key: numpy_helper.from_array(rng.uniform(-1, 1, shape).astype(np.float32), key)
               for key, shape in arrays.items()}  # fmt: skip
    names = ["x", "W", "R", "B" if bias else "", "lengths", "h" if state else ""]
    names += ["c" if state else "", "P" if peepholes else ""] if kind == "LSTM" else []
    node = helper.make_node(
        kind, names, ["Y", "Y_h"], name="the_node", hidden_size=H, direction=direction, **attributes
    )
    before = [helper.make_node("Constant", [], [key], value=tensor) for key, tensor in tensors.items()] * constants
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [T, N, D]),
              helper.make_tensor_value_info("lengths", TensorProto.INT32, [N])]  # fmt: skip
    outputs = [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [T, ways, N, H]),
               helper.make_tensor_value_info("Y_h", TensorProto.FLOAT, [ways, N, H])]  # fmt: skip
    graph = helper.make_graph([*before, node], "g", inputs, outputs, [] if constants else list(tensors.values()))
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


CASES = {}
for kind, default in (("LSTM", ["Sigmoid", "Tanh", "Tanh"]), ("GRU", ["Sigmoid", "Tanh"])):
    more = [{}] if kind == "LSTM" else [{"linear_before_reset": 0}, {"linear_before_reset": 1}]
    for options in more:
        after = f" {options['linear_before_reset']}" if options else ""
        for direction in ("forward", "reverse", "bidirectional"):
            CASES[f"{kind}{after} {direction}"] = {"kind": kind, "direction": direction, **options}
        CASES[f"{kind}{after} without bias"] = {"kind": kind, "bias": False, **options}
        CASES[f"{kind}{after} states"] = {"kind": kind, "direction": "bidirectional", "state": True, **options}
        CASES[f"{kind}{after} constants"] = {"kind": kind, "constants": True, "state": True, **options}
        for opset in OUR_OPSETS:
            CASES[f"{kind}{after} opset {opset}"] = {
                "kind": kind, "opset": opset, "direction": "bidirectional", "activations": default * 2, **options
            }  # fmt: skip
CASES["LSTM peepholes"] = {"kind": "LSTM", "direction": "bidirectional", "peepholes": True, "state": True}

if __name__ == "__main__":
    import onnxruntime

    x = np.random.default_rng(0).standard_normal((T, N, D)).astype(np.float32)
    found = {"x": x, "lengths": LENGTHS}
    for number, (name, options) in enumerate(CASES.items()):
        content = file_of(number, **options)
        onnx.checker.check_model(onnx.load_model_from_string(content))
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        Y, Y_h = session.run(None, {"x": x, "lengths": LENGTHS})
        found |= {f"{name}/file": np.frombuffer(content, np.uint8), f"{name}/Y": Y, f"{name}/Y_h": Y_h}
    np.savez_compressed(Path(__file__).with_name("onnx_golden.npz"), **found)
