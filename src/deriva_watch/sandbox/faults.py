"""Faults on demand: which request fails, and how.

A file of faults is a JSON list of rules, or ``{"faults": [rule, ...]}`` in JSON or TOML.
A rule has ``action`` and any of ``route`` (a regular expression that is searched in path
and query), ``method``, ``nth`` (which of the matching requests, from 1; a number or a
list), ``probability`` with ``seed``, ``times`` (how often it applies at most). Without
``nth``, ``probability`` and ``times`` it applies to every matching request. Some actions
have further keys: ``status`` and ``retry_after_s``; ``stall_s`` or ``while_there``, a file;
``bytes_per_s`` of ``slow``; ``renew_after_s`` of ``expire`` (without it, never).
"""

import json
import random
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any


class Action(StrEnum):
    """What happens to a request."""

    STATUS = "status"  # an error is answered, nothing else happens
    RESET_BEFORE = "reset_before"  # the connection breaks, nothing else happens
    RESET_AFTER = "reset_after"  # the request takes effect, but its answer is lost
    TRUNCATE = "truncate"  # it takes effect, but only half of the answer's body arrives
    STALL = "stall"  # nothing happens for a while, then the request is served
    SLOW = "slow"  # the bodies of request and answer are slow
    EXPIRE = "expire"  # the sender's session ends before this request


@dataclass(slots=True)
class Rule:
    """One rule; it counts the requests that match it."""

    action: Action
    route: str = ""
    method: str | None = None
    nth: tuple[int, ...] = ()
    probability: float = 1.0
    seed: int = 0
    times: int | None = None
    status: int = 503
    retry_after_s: int | None = None
    stall_s: float = 3600.0
    while_there: str | None = None
    bytes_per_s: float = 10_000.0
    renew_after_s: float | None = None
    _seen: int = 0
    _struck: int = 0
    _random: random.Random = field(default_factory=random.Random)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Rule":
        """Read one rule.

        Raises:
            ValueError: It has an unknown key, an unknown action, or ``slow`` without a speed.
        """
        known = {each.name for each in fields(cls) if not each.name.startswith("_")}
        unknown = set(document) - known
        if unknown or "action" not in document:
            raise ValueError(f"a fault needs an action, and has no {sorted(unknown) or 'other'}")
        nth = document.get("nth", [])
        rule = cls(**{**document, "action": Action(document["action"])})
        rule.nth = (nth,) if isinstance(nth, int) else tuple(nth)
        rule._random.seed(rule.seed)
        if rule.bytes_per_s <= 0:
            raise ValueError(f"a fault needs bytes_per_s above 0, not {rule.bytes_per_s}")
        return rule

    def strikes(self, method: str, target: str) -> bool:
        """Count this request and return whether the rule applies to it."""
        if self.method not in (None, method) or not re.search(self.route, target):
            return False
        self._seen += 1
        if self.times is not None and self._struck >= self.times:
            return False
        does = self._seen in self.nth if self.nth else self._random.random() < self.probability
        self._struck += does
        return does


def read_faults(file: Path) -> list[Rule]:
    """Read a file of faults.

    Raises:
        ValueError: It is not a valid file of faults.
    """
    text = file.read_text()
    document = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
    rules = document.get("faults") if isinstance(document, dict) else document
    if not isinstance(rules, list):
        raise ValueError(f"{file} has no list of faults")  # noqa: TRY004 - a bad file
    return [Rule.read(rule) for rule in rules]


def strike(rules: list[Rule], method: str, target: str) -> Rule | None:
    """Return the first of *rules* that applies to this request; every rule counts it."""
    struck = [rule for rule in rules if rule.strikes(method, target)]
    return struck[0] if struck else None
