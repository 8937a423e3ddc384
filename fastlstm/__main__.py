"""python -m fastlstm convert | demo | info | warmup"""

from __future__ import annotations

import importlib
import sys

COMMANDS = {
    "convert": "convert",
    "demo": "demo",
    "info": "config",
    "warmup": "warmup",
}  # and the module whose `main` it is
USAGE = """\
usage: python -m fastlstm COMMAND ...

  convert  weights and models from one kind of file to another
  demo     train an LSTM to tell nine speakers apart
  info     versions, processor, vector width, threads, cache folder and GPUs
  warmup   compile every kernel ahead

COMMAND --help says which options it takes."""


def main(argv: list[str]) -> None:
    """Run one command; its module is imported only then."""
    command, rest = (argv[0], argv[1:]) if argv else ("", [])
    if command in COMMANDS:
        importlib.import_module(f"fastlstm.{COMMANDS[command]}").main(rest)
    elif command in ("-h", "--help"):
        print(USAGE)
    else:
        print(f"{USAGE}\n\nexpected {', '.join(COMMANDS)}, got {command or 'no command'}", file=sys.stderr)
        raise SystemExit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
