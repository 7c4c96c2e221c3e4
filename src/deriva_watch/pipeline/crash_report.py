"""Reports bugs of ours as events."""

import threading
import traceback

from deriva_watch.core.events import Emit, TaskCrashed


def report_crash(emit: Emit, where: str) -> None:
    """Report the exception that is being handled as a bug."""
    text = traceback.format_exc()
    emit(TaskCrashed(where=where, why=text.strip().rpartition("\n")[2], traceback=text))


def report_thread_crash(emit: Emit, args: threading.ExceptHookArgs) -> None:
    """Report the end of a thread that is not ours, such as one of watchdog's."""
    lines = traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback)
    name = args.thread.name if args.thread else "a thread"
    emit(TaskCrashed(where=name, why=repr(args.exc_value), traceback="".join(lines)))
