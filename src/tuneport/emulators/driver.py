"""The threads that drive the runs of an emulator's host."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from tuneport.backends.local.client import LocalClient
from tuneport.emulators.documents import Document
from tuneport.errors import ConflictError, UnknownTrialError

if TYPE_CHECKING:
    from tuneport.emulators.host import Host

_log = logging.getLogger(__name__)


class _LeftError(Exception):
    """The host closes; the run is left as it is."""


class Driver:
    """A thread that drives one run, with what is asked of it before it can hear."""

    def __init__(self, host: Host, document: Document) -> None:
        assert document.run is not None  # noqa: S101 - tells the type checker what was asked for
        self.run = document.run
        self.error: str | None = None
        self.stopping = document.stopping
        self._host = host
        self._document = document
        self._lock = threading.Lock()
        self._begun = False
        self._left = False
        self._over = False
        self._awake = threading.Event()
        self._asked: set[int | None] = set()
        self._thread = threading.Thread(target=self._drive, name=self.run, daemon=True)
        host.clock.enter(self.run)

    def start(self) -> None:
        """Begin, in the background."""
        self._thread.start()

    def join(self, timeout: float) -> None:
        """Wait for the end of the thread."""
        self._thread.join(timeout)

    def leave(self) -> None:
        """Let go of the run as it is."""
        self._left = True
        self._awake.set()

    def note_stop(self, trial: int | None) -> bool:
        """Take a request to stop. False: the journal is the place for it, since the run is being driven, or is over."""
        with self._lock:
            self.stopping = self.stopping or trial is None
            if self._begun or self._over:
                return False
            self._asked.add(trial)
            if trial is None:
                self._awake.set()
            return True

    def _drive(self) -> None:
        host = self._host
        host.clock.act_as(self.run)
        client = host.connect(around=lambda inside: host.timed(self._document, inside))
        try:
            age = host.clock.now() - self._document.created
            if not self.stopping:
                host.clock.sleep(host.pace.wait - age, unless=self._awake)
            if self._left and not self.stopping:
                return
            function = host.function(self._document)
            client.drive(self.run, lambda _: self._observe(client), function, stopping=self.stopping)
        except _LeftError:
            return
        except Exception as error:  # noqa: BLE001 - whatever stops a run is its failure, not the emulator's
            _log.exception("run %s could not go on", self.run)
            self.error = f"the emulator could not go on with it: {error}"
        finally:
            with self._lock:
                self._over = True
            host.clock.leave(self.run)
            client.close()

    def _observe(self, client: LocalClient) -> None:
        """Called with every change: pass on what was asked before, and leave if the host does."""
        if self._left and not self.stopping:
            raise _LeftError
        with self._lock:
            self._begun = True
            asked, self._asked = self._asked, set()
        for trial in asked:
            with suppress(UnknownTrialError, ConflictError):
                client.stop(self.run, trial)
