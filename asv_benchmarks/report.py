"""Tables and plots from the stored results, into README.md and docs/."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .benchmarks.shapes import MODES, Shape
from .roofline import limits
from .workers import ROOT

DOCS = ROOT / "docs"
RESULTS = DOCS / "performance.json"
PAGES = [ROOT / "README.md", DOCS / "performance.md"]
COMMAND = "python -m asv_benchmarks.peers"
TITLES = {"infer": "inference", "train": "training", "step": "one step"}
BASE = {"fastlstm", "reference"}  # all others are peers

Results = dict[str, Any]


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows])


def number(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}".rstrip(".")


def best_peer(row: dict[str, Any]) -> tuple[str, float] | None:
    """The fastest of the other systems, and its seconds."""
    peers = {name: seconds for name, seconds in row["seconds"].items() if name not in BASE}
    return min(peers.items(), key=lambda item: item[1]) if peers else None


def label(row: dict[str, Any]) -> str:
    """N, T, D, H."""
    return ", ".join(map(str, row["shape"]))


def times(rows: list[dict[str, Any]], systems: list[str]) -> str:
    """Milliseconds of these rows of one mode, of a single step microseconds; the fastest in bold."""
    mode = rows[0]["mode"]
    shown = [name for name in systems if any(name in row["seconds"] for row in rows)]
    unit, scale = ("µs", 1e6) if mode == "step" else ("ms", 1e3)
    lines = []
    for row in rows:
        seconds = row["seconds"]
        least = min(seconds[name] for name in shown if name in seconds)
        cells = [number(scale * seconds[name]) if name in seconds else "–" for name in shown]
        cells = [f"**{cell}**" if seconds.get(name) == least else cell for name, cell in zip(shown, cells, strict=True)]
        lines.append([label(row), *cells])
    return table([f"{TITLES[mode]}, {unit}: N, T, D, H", *shown], lines)


def of_mode(results: Results, mode: str) -> list[dict[str, Any]]:
    return [row for row in results["table"] if row["mode"] == mode]


def ratios(results: Results) -> str:
    """The best peer's time over ours, and GFLOP/s."""
    lines = []
    for row in results["table"] + results["steps"]:
        if (peer := best_peer(row)) is not None:
            own = row["seconds"]["fastlstm"]
            gflops = Shape(*row["shape"]).flop(row["mode"]) / own / 1e9
            name, seconds = peer
            lines.append([TITLES[row["mode"]], label(row), number(gflops), name, f"{seconds / own:.2f}"])
    return table(["", "N, T, D, H", "fastlstm, GFLOP/s", "best peer", "its time / ours"], lines)


def conditions(results: Results, command: str = COMMAND) -> str:
    """What it was measured on, with, when and how."""
    machine = results["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads for every system, "
        f"{machine['vector_bits']}-bit vectors, {machine['system']}; Python {machine['python']}, {versions}. "
        f"Median of rounds: {results['rounds']}, {machine['date']}: `{command}` wrote this."
    )


def peaks(results: Results) -> str:
    """What the micro-benchmarks found."""
    found = results["limits"]
    lines = [
        ["multiply-adds, one core", f"{number(found['core_gflops'])} GFLOP/s"],
        ["multiply-adds, all cores", f"{number(found['gflops'])} GFLOP/s"],
        ["one multiply-add after another", f"{number(found['latency_ns'])} ns"],
        *(
            [f"reading from {level}, each core while all do", f"{number(speed)} GB/s"]
            for level, speed in found["bandwidth"].items()
        ),
        ["a call that computes next to nothing", f"{number(found['call_ns'] / 1e3)} µs"],
    ]
    return table(["measured", ""], lines)


def bound(results: Results, row: dict[str, Any]) -> tuple[str, float]:
    """What bounds that shape most, and its seconds."""
    found = limits(Shape(*row["shape"]), row["mode"], results["limits"], results["machine"]["threads"])
    return max(found.items(), key=lambda item: item[1])


def roofline(results: Results) -> str:
    """For every shape its limit and how close we are."""
    lines = []
    for row in results["table"]:
        name, seconds = bound(results, row)
        own = row["seconds"]["fastlstm"]
        cells = [TITLES[row["mode"]], label(row), name]
        lines.append([*cells, number(1e3 * seconds), number(1e3 * own), f"{seconds / own:.0%}"])
    return table(["", "N, T, D, H", "limit", "its ms", "fastlstm, ms", "reached"], lines)


def processes(results: Results) -> str:
    """One process with all threads against processes of one thread."""
    count = results["machine"]["threads"]
    lines = [
        [TITLES[row["mode"]], label(row), *(number(row[name] / 1e3) for name in ("one", "many")),
         f"{row['many'] / row['one']:.2f}"]
        for row in results["processes"]
    ]  # fmt: skip
    head = ["thousand samples·steps a second", "N, T, D, H", f"one process, {count} threads",
            f"{count} processes, one thread each", "ratio"]  # fmt: skip
    return table(head, lines)


def options(results: Results) -> str:
    """One thing changed at a time."""
    rows = results["figures"]["options"]
    names = list(rows[0]["seconds"])
    lines = []
    for name in names:
        cells = [name]
        for row in rows:
            own, plain = row["seconds"][name], row["seconds"][names[0]]
            cells += [number(1e3 * own), f"{own / plain:.2f}"]
        lines.append(cells)
    return table([label(rows[0]), "inference, ms", "of the first", "training, ms", "of the first"], lines)


def alone(results: Results) -> str:
    """One sequence with one thread and with all."""
    lines = []
    for row in results["figures"]["alone"]:
        one, every = row["seconds"]["one"], row["seconds"]["all"]
        times = number(1e3 * one), number(1e3 * every)
        lines.append([TITLES[row["mode"]], label(row), *times, f"{one / every:.2f}"])
    count = results["machine"]["threads"]
    return table(["", "N, T, D, H", "one thread, ms", f"{count} threads, ms", "times as fast"], lines)


def ragged(results: Results) -> str:
    """Lengths drawn evenly from 1 to T, forward and backward."""
    lines = []
    for row in results["figures"]["ragged"]:
        own, padded = row["seconds"]["ragged"], row["seconds"]["padded"]
        shares = f"{own / padded:.0%}", f"{row['real']:.0%}"
        lines.append([label(row), number(1e3 * padded), number(1e3 * own), *shares])
    head = ["training: N, T, D, H", "padded, ms", "ragged, ms", "share of the time", "share of the steps"]
    return table(head, lines)


def start(results: Results) -> str:
    """What a new process pays, and a new machine."""
    found = results["figures"]["start"]
    names = {
        "import": "import, after Numba's",
        "trivial": "a cached parallel kernel that does next to nothing, its first call",
        "inference": "first inference, from a warm cache: beyond that",
        "training": "first training, from a warm cache: beyond that",
        "compile": "all kernels of float32, compiled from nothing",
    }
    beyond = {name: found[name] - found["trivial"] for name in ("inference", "training")}
    lines = [[title, f"{(found | beyond)[name]:.2f}"] for name, title in names.items()]
    return table(["", "s"], lines)


def exactness(results: Results) -> str:
    """Errors against the reference in float64."""
    lines = [
        [row["dtype"], label(row), f"{row['y']:.1e}", f"{row['grads']:.1e}"] for row in results["figures"]["exactness"]
    ]
    return table(["", "N, T, D, H", "y and states", "gradients"], lines)


def ahead(results: Results) -> str:
    """In a line: how many times as long as fastlstm the fastest peer takes."""
    lines = []
    for rows in (*(of_mode(results, mode) for mode in MODES), results["steps"]):
        times = [peer[1] / row["seconds"]["fastlstm"] for row in rows if (peer := best_peer(row))]
        mean = math.exp(sum(map(math.log, times)) / len(times))
        lines.append(f"{TITLES[rows[0]['mode']]} {mean:.2f} (least {min(times):.2f})")
    return f"Time of the fastest of them / fastlstm's, geometric mean: {', '.join(lines)}."


def filled(text: str, results: Results) -> str:
    """The page with the parts of these results written anew."""
    systems = list(results["table"][0]["seconds"])
    modes = [*(of_mode(results, mode) for mode in MODES), results["steps"]]
    parts = {
        "speed": f"{ahead(results)}\n\n{conditions(results)}",
        "times": "\n\n".join(times(rows, systems) for rows in modes),
        "conditions": conditions(results),
        "ratios": ratios(results),
        "peaks": peaks(results),
        "roofline": roofline(results),
        "processes": processes(results),
        "options": options(results),
        "alone": alone(results),
        "ragged": ragged(results),
        "start": start(results),
        "exactness": exactness(results),
    }
    return fill(text, parts)


def fill(text: str, parts: dict[str, str]) -> str:
    """The text with the parts in place of what stands between their markers, `<!-- name -->` and `<!-- /name -->`."""
    return re.sub(
        rf"<!-- ({'|'.join(parts)}) -->\n.*?<!-- /\1 -->",
        lambda match: f"<!-- {match[1]} -->\n{parts[match[1]]}\n<!-- /{match[1]} -->",
        text,
        flags=re.DOTALL,
    )


def publish(
    results: Any, path: Path, page: Path, parts: Callable[[Any], dict[str, str]], refuse: Callable[[str], Any]
) -> None:
    """Keep what was measured in a file, and fill the page with its parts; where results is None, with those of the file
    as it is. refuse: says that there is none, and ends the program."""
    if results is not None:
        path.write_text(json.dumps(results, indent=1) + "\n")
    elif not path.exists():
        refuse(f"--from-json: {path.name} is missing; measure first")
    page.write_text(fill(page.read_text(), parts(json.loads(path.read_text()))))


@contextmanager
def style() -> Iterator[None]:
    """The style of all pictures in the documents, on white."""
    import matplotlib

    matplotlib.use("Agg")
    sys.path.insert(0, str(DOCS / "_site"))
    try:
        from style import STYLE
    finally:
        del sys.path[0]
    with matplotlib.rc_context({**STYLE, "savefig.transparent": False}):
        yield


def speed(results: Results) -> None:
    """docs/img/speed.png: how many times as long as fastlstm's the others' calls take, a line for each shape."""
    from matplotlib import pyplot as plt

    modes = {**{mode: of_mode(results, mode) for mode in MODES}, "step": results["steps"]}
    peers = [name for name in results["table"][0]["seconds"] if name not in BASE]
    figure, panels = plt.subplots(1, len(modes), figsize=(10, 3.7))
    for panel, (mode, rows) in zip(panels, modes.items(), strict=True):
        for number, (name, mark) in enumerate(zip(peers, "osv^", strict=True)):
            times = [row["seconds"].get(name, math.nan) / row["seconds"]["fastlstm"] for row in rows]
            panel.plot(times, range(len(rows)), mark, color=f"C{number}", label=name, markersize=7, alpha=0.9)
        panel.axvline(1, color="0.3", linewidth=3, label="fastlstm")
        panel.set_yticks(range(len(rows)), [label(row) for row in rows])
        panel.invert_yaxis()
        panel.set(xscale="log", xlim=(0.8, 100), xlabel="times as long as fastlstm", title=TITLES[mode])
        panel.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
        panel.minorticks_off()
    panels[0].set_ylabel("N, T, D, H")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(peers) + 1)
    save(figure, "speed")


def plots(results: Results) -> None:
    """docs/img/speed.png, scaling.png, peak.png and ratio.png."""
    with style():
        speed(results)
        scaling(results)
        shares(results)


def scaling(results: Results) -> None:
    """docs/img/scaling.png: time against one size."""
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(len(MODES), len(results["scaling"]), figsize=(12, 6), squeeze=False)
    for line, mode in zip(panels, MODES, strict=True):
        for panel, (axis, rows) in zip(line, results["scaling"].items(), strict=True):
            rows = [row for row in rows if row["mode"] == mode]
            for colour, name in enumerate(results["table"][0]["seconds"]):
                points = [(Shape(*row["shape"]), row["seconds"][name]) for row in rows if name in row["seconds"]]
                if points:
                    sizes, seconds = [getattr(shape, axis) for shape, _ in points], [1e3 * s for _, s in points]
                    width = 2.5 if name == "fastlstm" else 1.2
                    panel.loglog(sizes, seconds, "o-", label=name, color=f"C{colour}", linewidth=width, markersize=3)
            others = ", ".join(f"{k} {v}" for k, v in Shape(*rows[0]["shape"])._asdict().items() if k != axis)
            panel.set(xlabel=axis, ylabel="ms", title=f"{TITLES[mode]}, {others}")
            panel.set_xticks(sizes, sizes)
            panel.minorticks_off()
            panel.grid(alpha=0.3)
    panels[0, 0].legend(fontsize="small")
    save(figure, "scaling")


def shares(results: Results) -> None:
    """docs/img/peak.png and ratio.png: how much of the machine is reached, and how far peers are behind."""
    share = {}
    for row in results["table"]:
        name, own = f"{TITLES[row['mode']]} {label(row)}", row["seconds"]["fastlstm"]
        share[name] = Shape(*row["shape"]).flop(row["mode"]) / own / 1e9 / results["limits"]["gflops"]
    bars(share, "share of the machine's peak of multiply-adds", "peak", 1.0)
    ahead = {}
    for row in results["table"]:
        if (peer := best_peer(row)) is not None:
            name = f"{TITLES[row['mode']]} {label(row)} ({peer[0]})"
            ahead[name] = peer[1] / row["seconds"]["fastlstm"]
    bars(ahead, "best peer's time / fastlstm's", "ratio", 1.0)


def bars(values: dict[str, float], title: str, name: str, line: float) -> None:
    """A plot of one bar each, with a line to compare with."""
    from matplotlib import pyplot as plt

    figure, panel = plt.subplots(figsize=(8, 1 + 0.3 * len(values)))
    drawn = panel.barh(list(values), list(values.values()))
    panel.bar_label(drawn, fmt="%.2f", padding=3)
    panel.axvline(line, color="black", linewidth=1)
    panel.invert_yaxis()
    panel.set(xlabel=title)
    panel.margins(x=0.1)
    save(figure, name)


def save(figure: Any, name: str) -> None:
    path = DOCS / "img" / f"{name}.png"
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=100, metadata={"Software": None})


def write(results: Results) -> None:
    """All pages and plots."""
    for page in PAGES:
        page.write_text(filled(page.read_text(), results))
    plots(results)
