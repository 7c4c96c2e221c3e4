"""Specs and trees picked by hand: each says one thing that a bulk spec can say.

Left out is what `test_exceptions` shows: there the two differ, and why.
"""

from typing import Final

from oracle.cases_columns import COLUMNS, QUERIES
from oracle.cases_objects import OBJECTS, PROCESSORS
from oracle.cases_paths import PATTERNS, TARGETS
from oracle.cases_records import RECORDS
from oracle.cases_tables import TABLES

CASES: Final = PATTERNS | TARGETS | COLUMNS | QUERIES | RECORDS | OBJECTS | PROCESSORS | TABLES
