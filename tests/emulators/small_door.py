"""A small door of the tests' own: jobs in our own words over HTTP, in the place of one of the real ones.

Run as a program it is `tuneport emulate` with this door in the place of every cloud's.
"""

import sys
from types import ModuleType

import typer

from tuneport.cli import app as command_line
from tuneport.cli.emulate import emulate
from tuneport.emulators.faults import Faults, InjectedError
from tuneport.emulators.host import Host
from tuneport.emulators.server import HttpError, Request, Response, Router, Server
from tuneport.errors import ConflictError, RunNotFoundError, TuneportError
from tuneport.model.job import TuningJob

STATUS = {ConflictError: 409, RunNotFoundError: 404}


class SmallDoor:
    def __init__(self, name: str, host: Host, faults: Faults, port: int) -> None:
        self.name, self.host, self.faults = name, host, faults
        self.kind = f"{name}/job"
        router = Router()
        router.add("POST", "/jobs", self.create)
        router.add("GET", "/jobs", self.list)
        router.add("GET", "/jobs/{name}", self.describe)
        router.add("DELETE", "/jobs/{name}", self.delete)
        router.add("POST", "/jobs/{name}:stop", self.stop)
        router.add("GET", "/jobs/{name}/trials/{trial}/log", self.log)
        self.server = Server(router, worded, port=port)
        self.endpoints = {name: self.server.url}

    def close(self) -> None:
        self.server.close()

    def create(self, request: Request) -> Response:
        with self.faults.around("Create"):
            body = request.json()
            job = TuningJob.model_validate(body)
            document = self.host.submit(self.kind, job.name, body, job, contract=self.name)
        return Response.json({"name": document.name}, status=201)

    def list(self, request: Request) -> Response:
        with self.faults.around("List"):
            return Response.json([one.name for one in self.host.documents.all(self.kind)])

    def describe(self, request: Request) -> Response:
        with self.faults.around("Describe"):
            document = self.host.documents.get(self.kind, request.params["name"])
            result = self.host.result(document.run)
            trials = [
                {"id": one.id, "state": one.state, "parameters": dict(one.parameters), "metrics": dict(one.metrics)}
                for one in result.trials
            ]
            phase = self.host.phase(document)
            body = {"state": result.state, "phase": phase, "request": document.body, "trials": trials}
            return Response.json(body)

    def stop(self, request: Request) -> Response:
        trial = request.query.get("trial")
        run = self.host.documents.get(self.kind, request.params["name"]).run
        self.host.stop(run, int(trial) if trial else None)
        return Response.json({})

    def delete(self, request: Request) -> Response:
        self.host.delete(self.host.documents.get(self.kind, request.params["name"]))
        return Response(204)

    def log(self, request: Request) -> Response:
        run = self.host.documents.get(self.kind, request.params["name"]).run
        return Response.json(self.host.logs(run, int(request.params["trial"])))


def worded(error: Exception) -> Response:
    if isinstance(error, (HttpError, InjectedError)):
        status = error.status
    elif isinstance(error, TuneportError):
        status = STATUS.get(type(error), 400)
    else:
        status = 500
    return Response.json({"code": status, "message": str(error)}, status=status)


def door_module(name: str) -> ModuleType:
    """A module with this door's `serve`, for the cloud of that name."""
    module = ModuleType(f"tuneport.emulators.{name}")
    module.serve = lambda host, faults, port, options: SmallDoor(name, host, faults, port)
    return module


if __name__ == "__main__":
    for cloud in ("sagemaker", "vertex", "modelarts"):
        sys.modules[f"tuneport.emulators.{cloud}"] = door_module(cloud)
    command_line.app = typer.Typer()
    command_line.app.command()(emulate)
    command_line.main()
