"""What systemd is told, over a real datagram socket, and what is read of what it says."""

import asyncio
import contextlib
import errno
import os
import socket

import pytest

from runtime import systemd
from runtime.configuration import ConfigurationError
from runtime.systemd import MAX_STATUS, Reporter, inherited_sockets


class Systemd:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)

    def told(self):
        """Return the messages that came, each as its lines."""
        messages = []
        with contextlib.suppress(BlockingIOError):
            while True:
                messages.append(self.socket.recv(65536).decode().split("\n"))
        return messages


@pytest.fixture
def manager(tmp_path):
    found = Systemd(str(tmp_path / "notify"))
    yield found
    found.socket.close()


@pytest.fixture
def make_reporter():
    with contextlib.ExitStack() as made:

        def make(address, **told):
            reporter = Reporter({"NOTIFY_SOCKET": address, **told}, os.getpid())
            made.callback(reporter.close)
            return reporter

        yield make


@pytest.fixture
def reporter(manager, make_reporter):
    return make_reporter(manager.socket.getsockname())


def test_it_tells_its_states(manager, reporter):
    reporter.ready()
    reporter.status("2 of 2 links up")
    reporter.stopping(35.0)
    assert manager.told() == [["READY=1"], ["STATUS=2 of 2 links up"], ["STOPPING=1", "EXTEND_TIMEOUT_USEC=35000000"]]


def test_an_address_may_be_abstract(make_reporter):
    name = f"jira-tunnel-test-{os.getpid()}"
    manager = Systemd(f"\0{name}")
    with contextlib.closing(manager.socket):
        make_reporter(f"@{name}").ready()
        assert manager.told() == [["READY=1"]]


@pytest.mark.parametrize("told", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}, {"WATCHDOG_USEC": "3"}])
async def test_without_systemd_nothing_happens(told):
    reporter = Reporter(told, os.getpid())
    reporter.ready()
    reporter.status("up")
    with reporter.reloading():
        pass
    reporter.stopping(1.0)
    await reporter.run(lambda: pytest.fail("nobody asked"))


def test_a_reload_is_surrounded(manager, reporter, monkeypatch):
    monkeypatch.setattr(systemd, "monotonic_ns", lambda: 5_000_999)
    reporter.ready()
    with reporter.reloading():
        assert manager.told() == [["READY=1"], ["RELOADING=1", "MONOTONIC_USEC=5000"]]
    assert manager.told() == [["READY=1"]]


def test_a_reload_that_fails_ends_too(manager, reporter):
    reporter.ready()
    with pytest.raises(ZeroDivisionError), reporter.reloading():
        raise ZeroDivisionError
    assert manager.told()[-1] == ["READY=1"]


def test_a_reload_before_ready_does_not_make_it_ready(manager, reporter):
    with reporter.reloading():
        pass
    assert manager.told() == []


@pytest.mark.parametrize(
    "text",
    ["Jira 9\nWATCHDOG=trigger", "a\rMAINPID=1", "b\x85STOPPING=1", "c\u2028READY=1", "d\0e", "x" * 5000],
    ids=["newline", "return", "next line", "line separator", "nul", "long"],
)
def test_what_others_wrote_stays_in_the_status_line(manager, reporter, text):
    reporter.status(text)
    ((line,),) = manager.told()
    assert line.startswith("STATUS=")
    assert len(line.splitlines()) == 1
    assert len(line) <= len("STATUS=") + MAX_STATUS


def test_a_status_is_told_when_it_changes(manager, reporter):
    for text in ("connecting", "connecting", "up", "connecting"):
        reporter.status(text)
    assert manager.told() == [["STATUS=connecting"], ["STATUS=up"], ["STATUS=connecting"]]


async def test_the_loop_feeds_the_watchdog_at_a_third_of_its_time(manager, make_reporter):
    reporter = make_reporter(manager.socket.getsockname(), WATCHDOG_USEC="30000", WATCHDOG_PID=str(os.getpid()))
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        feeding = tasks.create_task(reporter.run(lambda: "up"))
        fed = []
        while len(fed) < 4:
            await asyncio.sleep(0.005)
            fed += manager.told()
        feeding.cancel()
    assert fed[0] == ["STATUS=up"]
    assert fed[1:4] == [["WATCHDOG=1"]] * 3


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),  # somebody else's
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "\u0663"}, None),
        ({}, None),
    ],
)
def test_whose_watchdog_and_how_long(make_reporter, told, seconds):
    assert make_reporter("/nonexistent", **told)._watchdog == seconds


def test_what_finds_no_room_goes_later_and_states_are_never_lost(manager, reporter):
    sent = []

    class Full:
        is_full = True

        def sendto(self, message, address):
            if self.is_full:
                raise BlockingIOError
            sent.append(message.decode())

    reporter.close()
    reporter._socket = pipe = Full()
    reporter.ready()
    for number in range(50):
        reporter.status(f"status {number}")
        reporter._send("WATCHDOG=1")
    pipe.is_full = False
    reporter.stopping(0)
    reporter._socket = None
    assert sent == ["READY=1", "STATUS=status 49", "WATCHDOG=1", "STOPPING=1\nEXTEND_TIMEOUT_USEC=0"]


def test_a_socket_that_is_gone_costs_nothing(tmp_path, make_reporter):
    make_reporter(str(tmp_path / "nobody")).ready()


def hand_over(monkeypatch, *sockets, pid=None):
    """Put sockets where sd_listen_fds(3) says, above those of this test's own process."""
    first = 200
    for number, each in enumerate(sockets):
        os.dup2(each.fileno(), first + number, inheritable=True)
        each.close()
    monkeypatch.setattr(systemd, "FIRST_DESCRIPTOR", first)
    told = {"LISTEN_PID": str(pid or os.getpid()), "LISTEN_FDS": str(len(sockets))}
    monkeypatch.setattr(systemd, "service_variables", lambda: told)


def test_it_takes_the_sockets_that_systemd_holds(monkeypatch):
    first, second = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    addresses = [first.getsockname(), second.getsockname()]
    hand_over(monkeypatch, first, second)
    found = inherited_sockets()
    assert [each.getsockname() for each in found] == addresses
    assert not any(each.get_inheritable() for each in found)
    for each in found:
        each.close()


def test_sockets_of_another_process_are_left_alone(monkeypatch):
    theirs = socket.create_server(("127.0.0.1", 0))
    hand_over(monkeypatch, theirs, pid=1)
    assert inherited_sockets() == []
    os.close(200)


@pytest.mark.parametrize("make", [lambda: socket.socket(type=socket.SOCK_DGRAM), socket.socket], ids=["udp", "deaf"])
def test_anything_else_is_a_configuration_error(monkeypatch, make):
    hand_over(monkeypatch, make())
    with pytest.raises(ConfigurationError, match=r"LISTEN_FDS: descriptor 200 is no listening TCP socket"):
        inherited_sockets()


def test_a_descriptor_that_is_closed_is_a_configuration_error(monkeypatch):
    monkeypatch.setattr(systemd, "FIRST_DESCRIPTOR", 900)
    monkeypatch.setattr(systemd, "service_variables", lambda: {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"})
    with pytest.raises(OSError) as closed:
        os.fstat(900)
    assert closed.value.errno == errno.EBADF
    with pytest.raises(ConfigurationError):
        inherited_sockets()


@pytest.mark.parametrize("count", ["", "x", "-1", "65", "\u0663"])
def test_a_count_that_is_none_is_no_sockets(monkeypatch, count):
    monkeypatch.setattr(systemd, "service_variables", lambda: {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count})
    assert inherited_sockets() == []
