"""`--profile real`: requests take as long as on the real servers, and many at once are slower."""

import asyncio

import pytest

from deriva_watch.sandbox.costs import HATRAC_SPEED, Service, cost_of, speed

CHUNK = "/hatrac/Image/a;upload/JOB/3"


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self):
        super().__init__()
        self._now_s = 0.0

    def time(self):
        """Return how far the clock has jumped."""
        return self._now_s

    def _run_once(self):
        if self._scheduled and not self._ready:
            self._now_s = max(self._now_s, self._scheduled[0].when())
        super()._run_once()


def puts_per_s(connections, each=50):
    """Return how many PUTs a second Hatrac takes from that many connections."""
    service = Service(HATRAC_SPEED)

    async def connection():
        for _ in range(each):
            service.requests += 1
            await service.work(1 / 116.5)
            service.requests -= 1

    async def run():
        await asyncio.gather(*(connection() for _ in range(connections)))
        return connections * each / asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(run())


@pytest.mark.parametrize(
    ("connections", "slowest", "fastest"),
    [(1, 110, 123), (2, 122, 133), (4, 131, 140), (8, 102, 116), (16, 85, 92)],
)
def test_connections_get_what_real_servers_gave_them(connections, slowest, fastest):
    assert slowest <= puts_per_s(connections) <= fastest


def test_a_request_under_way_becomes_slower_when_others_come():
    service = Service(HATRAC_SPEED)

    async def alone_then_not():
        service.requests = 1
        loop = asyncio.get_running_loop()
        working = loop.create_task(service.work(1.0))
        await asyncio.sleep(0.5)
        service.requests = 16
        await working
        return loop.time()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        took_s = runner.run(alone_then_not())

    assert took_s == pytest.approx(0.5 + 0.5 * 16 / 0.764, rel=0.05)


def test_the_speed_between_two_measurements_is_between_theirs():
    assert speed(HATRAC_SPEED, 4) > speed(HATRAC_SPEED, 6) > speed(HATRAC_SPEED, 8)
    assert speed(HATRAC_SPEED, 16) == speed(HATRAC_SPEED, 100)


@pytest.mark.parametrize(
    ("method", "path", "body_mib", "cost_ms"),
    [
        ("HEAD", "/hatrac/Image/a", 0, 3.8),
        ("PUT", "/hatrac/Image/a", 0.01, 9),
        ("POST", "/hatrac/Image/a;upload", 0, 17.5),
        ("PUT", CHUNK, 25_000_000 / 2**20, 174),
        ("GET", "/ermrest/catalog/1/entity/demo:Image/MD5=a", 0, 11.7),
        ("GET", "/ermrest/catalog/1/schema", 0, 9.9),
        ("POST", "/ermrest/catalog/1/entity/demo:Image", 151 / 1024, 460),
        ("GET", "/authn/session", 0, 6.5),
    ],
)
def test_each_kind_of_request_has_its_price(method, path, body_mib, cost_ms):
    cost = cost_of(method, path)

    assert 1000 * (cost.s + body_mib * cost.mib_s) == pytest.approx(cost_ms, rel=0.02)


def test_a_server_takes_at_least_the_time_of_a_real_one(start):
    sandbox = start("--profile", "real")
    schema = sandbox.writer.get("/ermrest/catalog/1/schema")
    sandbox.writer.get("/ermrest/catalog/1/schema", **{"If-None-Match": schema.headers["ETag"]})
    sandbox.writer.ask("PUT", "/hatrac/Image/a", body=b"x" * 2**20)
    job = {"chunk-length": 2**20, "content-length": 2**20}
    url = sandbox.writer.ask("POST", "/hatrac/Image/b;upload", rows=job).text
    sandbox.writer.ask("PUT", f"{url}/0", body=b"x" * 2**20)
    finished = sandbox.writer.ask("POST", url)
    sandbox.writer.insert("demo:Subject", *({"Name": str(number)} for number in range(1000)))

    took_ms = [line["ms"] for line in sandbox.log]

    assert finished.status == 201
    least_ms = [93, 9, 15, 17, 15, 12, 60]
    assert all(took >= least for took, least in zip(took_ms, least_ms, strict=True)), took_ms


def test_an_unknown_profile_is_refused(start):
    with pytest.raises(RuntimeError, match="invalid choice"):
        start("--profile", "slow")
