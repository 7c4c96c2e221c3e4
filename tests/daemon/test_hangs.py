"""What does not answer is told for what it is."""

import os
import threading
from contextlib import ExitStack, contextmanager

import pytest

from deriva_watch import liveness
from deriva_watch.daemon.hangs import LEFT_BEHIND, Hangs
from deriva_watch.edges.host.problems import Problems
from deriva_watch.edges.host.problems import read as read_problems
from running import accused, wait_until

SERVER = "the server data.example.org"


class Scene:
    """Threads that depend on something, and what is told of them."""

    def __init__(self, folder):
        self.folder, self.events = folder, []
        self.hangs = Hangs(SERVER, Problems(folder, self.events.append), self.events.append)

    @contextmanager
    def waiting_for(self, about, thread="uploader-0"):
        """Let a thread wait for *about* until the context ends."""
        begun, ends = threading.Event(), threading.Event()

        def work():
            liveness.begin()
            with liveness.depending_on(about, 0.01):
                begun.set()
                ends.wait(60)
            liveness.end()

        running = threading.Thread(target=work, name=thread)
        running.start()
        begun.wait(30)
        wait_until(lambda: any(each.thread == thread for each in liveness.hangs()))
        try:
            yield
        finally:
            ends.set()
            running.join(30)

    def look(self):
        """Look once; return what `status` shows then."""
        self.hangs.tend()
        return read_problems(self.folder, os.getpid())


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


def test_a_hang_is_told_once_and_when_it_is_over(scene):
    with scene.waiting_for("/data"):
        (shown,) = scene.look()
        assert scene.look() == [shown]
        assert shown["what"] == "/data does not answer"
        assert shown["scope"] == "folder"
        assert "ls /data" in shown["next"]
    assert scene.look() == []

    hung, returned = scene.events
    assert (hung.name, hung.about, hung.what) == ("call.hung", "/data", shown["what"])
    assert (returned.name, returned.about) == ("call.returned", "/data")
    assert 0 < hung.seconds <= returned.seconds


def test_no_thread_is_accused_of_what_does_not_answer(scene):
    with scene.waiting_for("/data"):
        assert not accused()


def test_a_root_is_closed_once_so_many_threads_wait_for_it(scene):
    with ExitStack() as waiting:
        for number in range(LEFT_BEHIND - 1):
            waiting.enter_context(scene.waiting_for("/data", f"transfer_{number}"))
        scene.look()
        assert not scene.hangs.closed

        waiting.enter_context(scene.waiting_for("/data", f"transfer_{LEFT_BEHIND}"))
        (shown,) = scene.look()
        assert scene.hangs.closed == {"/data"}
        assert f"{LEFT_BEHIND} threads wait for it" in shown["why"]
    scene.look()
    assert not scene.hangs.closed


def test_a_worker_whose_unit_is_in_a_root_that_hangs_counts_as_left_behind(scene):
    with scene.waiting_for("/data", "transfer_0"), scene.waiting_for("/data", "uploader-0"):
        scene.hangs.tend(["/data"] * (LEFT_BEHIND - 2) + ["/other"])
        assert (scene.hangs.hanging, scene.hangs.closed) == ({"/data"}, set())
        scene.hangs.tend(["/data"] * (LEFT_BEHIND - 1))
        assert scene.hangs.closed == {"/data"}


def test_a_root_is_closed_while_its_own_lane_hangs(scene):
    with scene.waiting_for("/data", f"{liveness.LANE}7"):
        scene.look()
        assert scene.hangs.closed == {"/data"}


@pytest.mark.parametrize(
    ("thread", "scope"), [(f"{liveness.LANE}1", "daemon"), ("uploader-0", "folder")]
)
def test_one_question_to_the_server_does_not_make_the_daemon_ill(scene, thread, scope):
    with scene.waiting_for(SERVER, thread):
        (shown,) = scene.look()
    assert (shown["what"], shown["scope"]) == (f"{SERVER} does not answer", scope)
