"""SageMaker on this machine: its tuning jobs really run, and moto plays the rest of AWS beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tuneport.backends.protocols import Json
from tuneport.emulators.faults import Faults
from tuneport.emulators.host import Host
from tuneport.emulators.sagemaker.beside import Beside
from tuneport.emulators.sagemaker.logs import Logs, is_ours
from tuneport.emulators.sagemaker.tuning import Options, Tuning
from tuneport.emulators.sagemaker.wire import Call, RefusedError, answer, scope, target, worded
from tuneport.emulators.server import Request, Response, Server

__all__ = ["Options", "SageMakerDoor", "serve"]

_SAGEMAKER, _LOGS = "SageMaker", "Logs_20140328"
_OURS_ALONE = frozenset({"UpdateTrainingJob", "DeleteTrainingJob", "Search"})
"""What moto would do with training jobs of its own, which the operations here do not know."""
_TAGS = frozenset({"AddTags", "ListTags", "DeleteTags"})


class SageMakerDoor:
    """One address for all of AWS; requests say themselves which service they are for.

    Args:
        host: runs the jobs.
        faults: what goes wrong.
        port: the server's; 0: a free one.
        options: what it does where the service is not known.

    Raises:
        SettingsError: the port is taken.
    """

    def __init__(self, host: Host, faults: Faults, port: int, options: Options) -> None:
        self._faults = faults
        self._tuning = Tuning(host, options)
        self._logs = Logs(host, self._tuning)
        self._beside = Beside()
        self._server = Server(self._answer, worded, port=port)

    @property
    def endpoints(self) -> Mapping[str, str]:
        """Where it is."""
        return {"sagemaker": self._server.url}

    def close(self) -> None:
        """Close it; what runs belongs to the host."""
        self._server.close()
        self._beside.close()

    def _answer(self, request: Request) -> Response:
        operation = self._operation(request)
        if operation is None:
            return self._beside(request)
        call = Call.of(request)
        with self._faults.around(call.operation):
            return answer(operation(call))

    def _operation(self, request: Request) -> Callable[[Call], Json] | None:
        """What is done here; None: somebody else does it."""
        service, name = target(request)
        if service == _SAGEMAKER:
            scope(request)
            if name in _OURS_ALONE:
                raise RefusedError("UnknownOperationException", f"the emulator does not play {name}")
            if name not in _TAGS or self._tuning.knows(Call.of(request).body.get("ResourceArn")):
                return self._tuning.operations.get(name)
        if service == _LOGS and name in self._logs.operations:
            return self._logs.operations[name] if is_ours(Call.of(request).body) else None
        return None


def serve(host: Host, faults: Faults, port: int, options: Options | None = None) -> SageMakerDoor:
    """Open the emulator of SageMaker; see SageMakerDoor."""
    return SageMakerDoor(host, faults, port, options or Options())
