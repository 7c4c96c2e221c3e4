"""When a directory counts as complete: the defaults of [completion]."""

from dataclasses import dataclass

from deriva_watch.core.known_names import PARTIAL


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionPolicy:
    """How long to wait for what; see [completion] in the settings.

    Attributes:
        quiet_s: How long nothing may have changed, for small files.
        quiet_max_s: The same for the largest ones.
        quiet_after_signal_s: The same once the writer said that it is done.
        markers: Names of files by which a writer says that it is done.
        partial: Patterns (`fnmatch`) of the names of files that are still being written.
        trust_status: Whether the status of the execution counts.
        max_running_s: A run that is Running counts as dead after this time without a change.
        grace_s: How long the program gets to begin its own upload after it stopped.
        foreign_upload_cap_s: An upload by another program counts as dead after this time
            without a change of its status.
        recheck_s: When to check again if nobody knows when the cause will end.
    """

    quiet_s: float = 30
    quiet_max_s: float = 600
    quiet_after_signal_s: float = 5
    markers: tuple[str, ...] = (".complete", "CopyComplete.txt")
    partial: tuple[str, ...] = PARTIAL
    trust_status: bool = True
    max_running_s: float = 7 * 24 * 3600
    grace_s: float = 60
    foreign_upload_cap_s: float = 3600
    recheck_s: float = 30
