"""A watchdog observer whose only emitter watches all folders."""

from watchdog.observers.api import BaseObserver, EventQueue

from deriva_watch.edges.watching.emitter import InotifyEmitter
from deriva_watch.edges.watching.hints import HintHandler, OnHint
from deriva_watch.edges.watching.inotify_watches import InotifyWatches
from deriva_watch.liveness import begin, end, rest


class Observer(BaseObserver):
    """Runs from the start, until `close`.

    Args:
        on_hint: Called for every hint, in the observer's thread.
        supervised: Its threads, "hints" and "inotify", must show that they live.

    Attributes:
        handler: Knows of overflows and of failures of *on_hint*.
        emitter: The only emitter.

    Raises OSError where this user may have no more inotify instances.
    """

    emitter: InotifyEmitter

    def __init__(self, on_hint: OnHint, *, supervised: bool = False) -> None:
        super().__init__(InotifyEmitter, supervised=supervised)
        self.handler = HintHandler(on_hint)
        self._supervised = supervised
        # For each scheduled watch watchdog makes an emitter, which is a thread. This is the only
        # one; it stands for all folders.
        self.schedule(self.handler, "/")
        (self.emitter,) = self.emitters  # type: ignore[assignment]  # of the class given above
        self.start()

    @property
    def watches(self) -> InotifyWatches:
        """The folders that are watched."""
        return self.emitter.watches

    @property
    def has_ended(self) -> bool:
        """Whether one of its threads has ended."""
        return not (self.is_alive() and self.emitter.is_alive())

    def close(self) -> None:
        """Stop both threads and wait for them."""
        self.stop()
        self.join()

    def run(self) -> None:
        """Pass events on until told to stop."""
        if self._supervised:
            self.name = "hints"
            begin()
        super().run()
        end()

    def dispatch_events(self, event_queue: EventQueue) -> None:
        """Wait for the next event and pass it on."""
        rest()
        super().dispatch_events(event_queue)
