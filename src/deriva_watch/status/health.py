"""One verdict for whoever watches the daemon, from what `summary` says."""

from collections.abc import Mapping
from typing import Any


def health(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return `healthy` and the `reasons` why not: about, what, why and next, each."""
    reasons = [
        {name: each[name] for name in ("about", "what", "why", "next")}
        for each in summary["hindrances"]
    ]
    told = {f"{each['what']}: {each['why']}. {each['next']}" for each in reasons}
    for problem in summary["problems"]:
        if problem not in told:
            what, _, why = problem.rstrip(".").partition(". ")
            next_ = "`deriva-watch status` tells more."
            reasons.append({"about": "executions", "what": what, "why": why, "next": next_})
    return {"healthy": summary["healthy"], "reasons": reasons}
