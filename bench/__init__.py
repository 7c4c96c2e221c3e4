"""Measurements, side by side in one run: `make bench`, or `python -m bench --help`.

`rows/` has one file for each subject, `programs/` what is measured, each in a process of its own.
The files `test_*.py` measure single parts: `pytest -s bench/test_idle.py`.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))  # the sandbox as a process, deriva-py's spec
