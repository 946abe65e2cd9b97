"""A trial's output, read whole and followed while the keeper's own Log writes it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tuneport.engine import logs
from tuneport.engine.executors import keeper
from tuneport.engine.logs import ANOTHER, GAP, follow_log, read_log


@pytest.fixture(autouse=True)
def _quick_and_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "POLL", 0.005)
    monkeypatch.setattr(keeper, "HEAD_BYTES", 40)
    monkeypatch.setattr(keeper, "TAIL_BYTES", 20)
    monkeypatch.setattr(logs, "TAIL_BYTES", 20)


class Following:
    """Follows a folder on a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.follow, args=(folder,))
        self.thread.start()

    def follow(self, folder: Path) -> None:
        for line in follow_log(folder, self.over.is_set):
            self.lines.put(line)

    def next(self, count: int) -> list[str]:
        return [self.lines.get(timeout=10) for _ in range(count)]

    def end(self) -> list[str]:
        self.over.set()
        self.thread.join(10)
        assert not self.thread.is_alive()
        return self.next(self.lines.qsize())


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Callable[[], Following]]:
    started: list[Following] = []

    def start() -> Following:
        started.append(Following(tmp_path))
        return started[-1]

    yield start
    for following in started:
        following.end()


def test_a_trial_that_wrote_nothing(tmp_path: Path) -> None:
    assert list(read_log(tmp_path)) == []
    assert list(follow_log(tmp_path, lambda: True)) == []


def test_text_cut_anywhere_is_put_together(tmp_path: Path, follow: Callable[[], Following]) -> None:
    following, log = follow(), keeper.Log(str(tmp_path))
    for byte in "größe €\r1\n\n😀\nrest".encode():
        log.write(bytes([byte]))
        time.sleep(0.01)
    assert following.next(3) == ["größe €\r1", "", "😀"]
    assert following.end() == ["rest"]
    log.close()
    assert list(read_log(tmp_path)) == ["größe €\r1", "", "😀", "rest"]


def test_following_goes_on_beyond_the_head_until_the_trial_ends(
    tmp_path: Path, follow: Callable[[], Following]
) -> None:
    following, log = follow(), keeper.Log(str(tmp_path))
    seen: list[str] = []
    for number in range(30):  # four lines in the head, then two in each tail
        log.write(b"line %04d\n" % number)
        seen += following.next(2 if number == 4 else 1)
        assert following.thread.is_alive()
    assert following.end() == []
    log.close()
    assert seen == [*(f"line {n:04}" for n in range(4)), GAP, *(f"line {n:04}" for n in range(4, 30))]
    kept = [*(f"line {n:04}" for n in range(4)), GAP, *(f"line {n:04}" for n in range(26, 30))]
    assert list(read_log(tmp_path)) == kept


@pytest.mark.parametrize("lines", [5, 7, 9, 11, 12])
def test_the_end_is_read_in_the_order_of_time(tmp_path: Path, lines: int) -> None:
    log = keeper.Log(str(tmp_path))
    for number in range(lines):
        log.write(b"line %04d\n" % number)
    log.close()
    read = list(read_log(tmp_path))
    numbers = [line for line in read if line != GAP]
    assert read.count(GAP) == 1
    assert numbers == sorted(numbers)
    assert numbers[-1] == f"line {lines - 1:04}"


@pytest.mark.parametrize("moved", [True, False])
def test_another_attempt_is_shown_from_its_beginning(
    tmp_path: Path, follow: Callable[[], Following], moved: bool
) -> None:
    following, log = follow(), keeper.Log(str(tmp_path))
    log.write(b"the first attempt\nlives")
    assert following.next(1) == ["the first attempt"]
    time.sleep(0.05)
    if moved:
        log.write(b" on")  # moved aside before anybody has looked again
        (tmp_path / "output.log").rename(tmp_path / "output.1.log")
    log.close()
    log = keeper.Log(str(tmp_path))
    log.write(b"second\n")
    assert following.next(3) == ["lives on" if moved else "lives", ANOTHER, "second"]
    assert following.end() == []
    log.close()
