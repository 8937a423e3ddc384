"""What was measured on a GPU, in docs/device.json, and the pages that show it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from . import device_peers, report

RESULTS = report.DOCS / "device.json"
PAGES = [report.DOCS / "cuda.md", report.DOCS / "performance.md"]
NOT_YET = "Not yet measured on hardware."

Results = dict[str, Any]


def keep(found: Results, path: Path = RESULTS, *, anew: bool = False) -> None:
    """Those parts into the file; the others stay, unless `anew`."""
    before = json.loads(path.read_text()) if path.is_file() and not anew else {}
    path.write_text(json.dumps(before | found, indent=1) + "\n")


def write() -> None:
    """The pages, from the file."""
    found = parts(json.loads(RESULTS.read_text()) if RESULTS.exists() else {})
    for page in PAGES:
        page.write_text(report.fill(page.read_text(), found))


def parts(results: Results) -> dict[str, str]:
    """Of the pages, by marker."""
    exact = [_exact(results), _barriers(results), _sanitizer(results)]
    return {
        "device": _measured(results, *exact),
        "gpu": _measured(results, device_peers.tables(_rows(results, "speed")), _missing(results)),
        "threads": _measured(results, _threads(results), on="processor"),
    }


def _measured(results: Results, *found: str, on: str = "device") -> str:
    """What there is, and what it was measured on."""
    shown = [one for one in found if one]
    if not shown:
        return NOT_YET if on == "device" else "Not yet measured."
    machine = results["machine"]
    of_device = ", ".join(f"{name} {value}" for name, value in results["device"].items())
    names = {"device": of_device, "processor": f"{machine.get('processor')}, {machine.get('cores')} cores"}
    return "\n\n".join([f"{names[on]}; {machine['date']}.", *shown])


def _rows(results: Results, part: str) -> list[Results]:
    """Without those that came to an error."""
    return [row for row in results.get(part, {}).get("rows", []) if "error" not in row]


def _exact(results: Results) -> str:
    rows = [row for row in _rows(results, "exact") if "error_forward" in row]
    head = ["cell, type, kind: N, T, D, H", "error, forward", "error, gradients", "the processor's bits",
            "the same again", "without a tape", "alone as in a batch"]  # fmt: skip
    return report.table(head, [_exact_row(row) for row in rows]) if rows else ""


def _exact_row(row: Results) -> list[str]:
    yes = {True: "yes", False: "no"}
    both = f"y {yes[row['processors_bits_forward']]}, gradients {yes[row['processors_bits_gradients']]}"
    options = f" ({row['options'].replace(' ', ', ')})" if row["options"] else ""
    name = f"{row['cell']}, {row['dtype']}, {row['kind']}: {report.label(row)}{options}"
    held = [yes[row[one]] for one in ("same_again", "same_without_a_tape", "alone_as_in_a_batch")]
    return [name, f"{row['error_forward']:.1e}", f"{row['error_gradients']:.1e}", both, *held]


def _barriers(results: Results) -> str:
    rows = _rows(results, "barriers")
    lines = [[str(row["blocks"]), row["kernel"], report.number(row["microseconds"])] for row in rows]
    return report.table(["a barrier of so many blocks", "by", "µs"], lines) if rows else ""


def _sanitizer(results: Results) -> str:
    said = (f"{row['check']} {'finds nothing' if row['clean'] else 'finds errors'}"
            for row in _rows(results, "sanitizer"))  # fmt: skip
    found = ", ".join(said)
    return f"compute-sanitizer over tiny problems: {found}." if found else ""


def _missing(results: Results) -> str:
    found = results.get("speed", {}).get("missing_systems", {})
    return f"Left out: {'; '.join(f'{name} ({why})' for name, why in found.items())}." if found else ""


def _threads(results: Results) -> str:
    rows = _rows(results, "processor")
    counts = list(dict.fromkeys(count for row in rows for count in row["seconds"]))
    lines = []
    for row in rows:
        times = [row["seconds"].get(count) for count in counts]
        cells = [report.number(1e3 * one) if isinstance(one, float) else "–" for one in times]
        lines.append([report.TITLES[row["mode"]], report.label(row), *cells])
    return report.table(["ms with so many threads", "N, T, D, H", *counts], lines) if rows else ""
