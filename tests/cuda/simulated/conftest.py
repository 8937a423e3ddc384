"""A thread of a block is a Python thread here, and all wait for each other often."""

from __future__ import annotations

import sys

sys.setswitchinterval(5e-4)
