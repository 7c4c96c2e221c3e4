"""Read-only views of the journal: values for programs, text for people, a page for browsers.

views      the values: `summary` (its lists are in `sections`, its first line in `headline`),
           `details`, receipts, search
day        bytes sent and backlog of the last day, for the chart
text/      `status`, `show` and `history` for a terminal
web/       the server of the status page, and the metrics
page/      the page itself
"""

from deriva_watch.edges.journal import open_readonly as open_views
from deriva_watch.status.text.details import render_details
from deriva_watch.status.text.elements import show
from deriva_watch.status.text.history import endings, render_endings
from deriva_watch.status.text.summary import render_summary
from deriva_watch.status.views import details, kept_receipts, summary

__all__ = [
    "details",
    "endings",
    "kept_receipts",
    "open_views",
    "render_details",
    "render_endings",
    "render_summary",
    "show",
    "summary",
]
