"""python -m fastlstm demo | info | warmup"""

from __future__ import annotations

import sys

USAGE = """\
usage: python -m fastlstm COMMAND

  demo     train an LSTM to tell nine speakers apart (--help: its options)
  info     versions, processor, vector width, threads and cache folder
  warmup   compile every kernel ahead (warmup CELL ...: those of other cells than the standard one)"""


def main(argv: list[str]) -> None:
    """Run one command; its module is imported only then."""
    command, rest = (argv[0], argv[1:]) if argv else ("", [])
    if command == "demo":
        from .demo import main as demo

        demo(rest)
    elif command == "warmup":
        from .warmup import main as warmup

        warmup(rest)
    elif command == "info" and not rest:
        from .config import show_config

        show_config()
    elif command in ("-h", "--help"):
        print(USAGE)
    else:
        raise SystemExit(f"{USAGE}\n\ngot: {' '.join(argv) or 'no command'}")


if __name__ == "__main__":
    main(sys.argv[1:])
