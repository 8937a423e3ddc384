"""Writes an example's pictures into docs/img, in the style that the site has, on white.

python docs/scripts/pictures.py vanishing_gradients vanishing clipping    # the example, then a name for each figure
"""

import os
import runpy
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

DOCS = Path(__file__).parents[1]
STYLE = runpy.run_path(str(DOCS / "_site" / "style.py"))["STYLE"]

example, *names = sys.argv[1:]
plt.rcParams.update({**STYLE, "savefig.transparent": False})
plt.show = lambda: None  # the figures stay open
runpy.run_path(str(DOCS / "examples" / f"{example}.py"), run_name="__main__")
for number, name in zip(plt.get_fignums(), names, strict=True):
    plt.figure(number).savefig(DOCS / "img" / f"{name}.png", dpi=100, metadata={"Software": None})
