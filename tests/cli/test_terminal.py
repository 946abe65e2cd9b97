"""What a person at a terminal sees: commands run on a pseudo-terminal of 100 columns."""

import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from fcntl import ioctl

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, desk, *arguments, **variables):
        self.said = ""
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(desk.folder)
            env = desk.env | {"TERM": "xterm-256color"} | variables
            os.execve(sys.executable, [sys.executable, "-m", "tuneport", *arguments], env)
        ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))

    def until(self, text, timeout=120):
        """Read until a text has been shown."""
        end = time.monotonic() + timeout
        while text not in self.said and time.monotonic() < end:
            if not self._read():
                break
        assert text in self.said

    def end(self):
        """Read to the end; gives the exit status."""
        while self._read():
            pass
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def press(self, keys):
        os.write(self.terminal, keys)

    def _read(self):
        if not select.select([self.terminal], [], [], 30)[0]:
            os.kill(self.pid, signal.SIGKILL)
            return False
        try:
            data = os.read(self.terminal, 65536)
        except OSError:  # Linux's way to say that nobody writes any more
            return False
        self.said += data.decode()
        return bool(data)


def test_a_run_is_drawn_live(desk):
    terminal = Terminal(desk, "run", desk.job(desk.brief, max_trials=6))
    assert terminal.end() == 0
    plain = ESCAPE.sub("", terminal.said)
    assert "6/6 trials" in plain
    assert "2 running" in plain
    assert re.search(r"best: loss \S+ \(trial \d\) x=", plain)
    assert "\x1b[" in terminal.said
    assert "all trials have ended" in plain.split("6/6 trials")[-1]


def test_failures_scroll_past_and_tables_fit(desk):
    crash = "import sys; print('why ' * 60); sys.exit(3)"
    terminal = Terminal(desk, "run", desk.job(crash), COLUMNS="40")
    assert terminal.end() == 9
    assert "exited with status 3" in " ".join(ESCAPE.sub("", terminal.said).split())
    terminal = Terminal(desk, "trials", "tiny", COLUMNS="30")
    assert terminal.end() == 0
    assert max(map(len, terminal.said.splitlines())) == 30


def test_no_colour_and_a_dumb_terminal(desk):
    terminal = Terminal(desk, "run", desk.job(), NO_COLOR="1")
    assert terminal.end() == 0
    assert not re.search(r"\x1b\[[0-9;]*3[0-9][0-9;]*m", terminal.said)
    terminal = Terminal(desk, "run", "job.yaml", TERM="dumb")
    assert terminal.end() == 0
    assert "\x1b" not in terminal.said
    assert "trial 4 of 4: succeeded" in terminal.said


def test_control_c_at_the_terminal(desk):
    terminal = Terminal(desk, "run", desk.job(desk.endless))
    terminal.until("2 running")
    terminal.press(b"\x03")
    assert terminal.end() == 130
    assert "go on with it: tuneport resume local:tiny-" in terminal.said


def test_deleting_asks_first(desk, finished):
    folder = desk.folder / ".tuneport" / "runs" / finished.removeprefix("local:")
    terminal = Terminal(desk, "delete", finished)
    terminal.until("[y/N]")
    terminal.press(b"n\n")
    assert terminal.end() == 130
    assert folder.exists()
    terminal = Terminal(desk, "delete", finished)
    terminal.until("[y/N]")
    terminal.press(b"y\n")
    assert terminal.end() == 0
    assert not folder.exists()
