"""The operations of the emulated ModelArts by method and path, under the names that the vendor's SDK has for them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any, TypeAlias

from tuneport.emulators.faults import Faults
from tuneport.emulators.host import Host
from tuneport.emulators.modelarts import catalog, signing
from tuneport.emulators.modelarts.algorithms import Algorithms
from tuneport.emulators.modelarts.jobs import Jobs, Options
from tuneport.emulators.modelarts.pages import number, objects
from tuneport.emulators.modelarts.refusals import INVALID, RefusalError
from tuneport.emulators.server import Request, Response, Router

Json: TypeAlias = dict[str, Any]
Operation: TypeAlias = Callable[[Request], Any]

_JOB = "/v2/{project}/training-jobs/{job}"
_TAGS = "/v2/{project}/modelarts-training-job"
_FLAVOR_TYPES = ("CPU", "GPU", "Ascend")
LOGS = "/logs/{job}/{task}"
"""Where whole logs are, in the place of OBS."""


class Service:
    """All operations.

    Args:
        host: runs jobs.
        faults: what goes wrong.
        options: what is not known of the service.
        url: where it is, once that is known.
    """

    def __init__(self, host: Host, faults: Faults, options: Options, url: Callable[[], str]) -> None:
        self._faults = faults
        self._options = options
        self._url = url
        self.algorithms = Algorithms(host)
        self.jobs = Jobs(host, self.algorithms, options)

    def router(self) -> Router:
        """Everything by its path; fixed words before those that are names."""
        router = Router()
        for method, template, status, name, operation in self._operations():
            router.add(method, template, self._answering(name, status, operation))
        router.add("GET", LOGS, self._whole_log)
        return router

    def _answering(self, name: str, status: int, operation: Operation) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            if self._options.keys is not None:
                signing.check(request, self._options.keys)
            with self._faults.around(name):
                said = operation(request)
            return _reply(said, status, request.method)

        return answer

    def _operations(self) -> list[tuple[str, str, int, str, Operation]]:
        """Method, path, status, name, and what is done."""
        jobs, algorithms = self.jobs, self.algorithms
        return [
            ("GET", "/v2/{project}/training-jobs/autosearch/yaml-templates", 200,
             "ShowAutoSearchYamlTemplatesInfo", lambda _: catalog.templates()),
            ("GET", "/v2/{project}/training-jobs/autosearch/yaml-templates/{kind}/{name}", 200,
             "ShowAutoSearchYamlTemplateContent", _template),
            ("POST", "/v2/{project}/training-jobs/batch-delete", 202,
             "BatchDeleteTrainingJob", lambda r: jobs.delete_all(_object(r))),
            ("POST", "/v2/{project}/training-jobs", 201,
             "CreateTrainingJob", lambda r: jobs.create(_object(r))),
            ("POST", "/v2/{project}/training-job-searches", 200,
             "ListTrainingJobs", lambda r: jobs.listed(_object(r))),
            ("GET", "/v2/{project}/training-job-names", 200,
             "ValidateTrainingJobName", lambda r: {"is_duplicate": jobs.is_taken(r.query.get("job_name", ""))}),
            ("GET", _JOB, 200,
             "ShowTrainingJobDetails", lambda r: jobs.show(r.params["job"])),
            ("PUT", _JOB, 200,
             "ChangeTrainingJobDescription", lambda r: jobs.describe_as(r.params["job"], _object(r))),
            ("DELETE", _JOB, 202,
             "DeleteTrainingJob", lambda r: jobs.delete(r.params["job"])),
            ("POST", f"{_JOB}/actions", 202,
             "StopTrainingJob", lambda r: jobs.act(r.params["job"], _object(r))),
            ("GET", f"{_JOB}/autosearch-trials", 200,
             "ShowAutoSearchTrials", lambda r: jobs.trials(r.params["job"], r.query)),
            ("GET", f"{_JOB}/autosearch-trials/{{trial}}", 200,
             "ShowAutoSearchPerTrial", lambda r: jobs.trial(r.params["job"], r.params["trial"])),
            ("POST", f"{_JOB}/autosearch-trial-earlystop/{{trial}}", 200,
             "ShowAutoSearchTrialEarlyStop", lambda r: jobs.stop_trial(r.params["job"], r.params["trial"])),
            ("GET", f"{_JOB}/autosearch-parameter-analysis", 200,
             "ShowAutoSearchParamsAnalysis", lambda r: jobs.analysis(r.params["job"])),
            ("GET", f"{_JOB}/autosearch-parameter-analysis/{{parameter}}", 200,
             "ShowAutoSearchParamAnalysisResultPath", lambda r: jobs.image(r.params["job"], r.params["parameter"])),
            ("GET", f"{_JOB}/tasks/{{task}}/logs/preview", 200,
             "ShowTrainingJobLogsPreview", lambda r: jobs.preview(r.params["job"], r.params["task"])),
            ("GET", f"{_JOB}/tasks/{{task}}/logs/url", 200,
             "ShowObsUrlOfTrainingJobLogs", self._log_url),
            ("GET", f"{_JOB}/logs/{{task}}", 200,
             "ShowTrainingJobLogsFromAom", lambda r: jobs.lines(r.params["job"], r.params["task"], r.query)),
            ("GET", f"{_JOB}/metrics/{{task}}", 200,
             "ShowTrainingJobMetrics", self._metrics),
            ("GET", f"{_JOB}/tasks", 200,
             "ListTrainingJobTasks", self._tasks),
            ("GET", f"{_JOB}/events", 200,
             "ListTrainingJobEvents", lambda r: jobs.events(r.params["job"], r.query)),
            ("GET", f"{_JOB}/stages", 200,
             "ListTrainingJobStages", lambda r: jobs.stages(r.params["job"])),
            ("GET", f"{_TAGS}/tags", 200,
             "ListTrainingJobTags", lambda _: jobs.all_tags()),
            ("GET", f"{_TAGS}/{{job}}/tags", 200,
             "ShowTrainJobTags", lambda r: jobs.tags(r.params["job"])),
            ("POST", f"{_TAGS}/{{job}}/tags/create", 204,
             "CreateTrainJobTags", lambda r: jobs.tag(r.params["job"], _object(r))),
            ("DELETE", f"{_TAGS}/{{job}}/tags/delete", 204,
             "DeleteTrainJobTags", lambda r: jobs.untag(r.params["job"], _object(r))),
            ("POST", "/v2/{project}/algorithms", 201,
             "CreateAlgorithm", lambda r: algorithms.create(_object(r))),
            ("GET", "/v2/{project}/algorithms", 200,
             "ListAlgorithms", lambda r: algorithms.listed(r.query)),
            ("GET", "/v2/{project}/algorithms/{algorithm}", 200,
             "ShowAlgorithmByUuid", lambda r: algorithms.show(r.params["algorithm"])),
            ("PUT", "/v2/{project}/algorithms/{algorithm}", 200,
             "ChangeAlgorithm", lambda r: algorithms.change(r.params["algorithm"], _object(r))),
            ("DELETE", "/v2/{project}/algorithms/{algorithm}", 202,
             "DeleteAlgorithm", lambda r: algorithms.delete(r.params["algorithm"])),
            ("GET", "/v2/{project}/search-algorithms", 200,
             "ShowSearchAlgorithms", lambda _: catalog.SEARCH_ALGORITHMS),
            ("GET", "/v2/{project}/training-job-engines", 200,
             "ShowTrainingJobEngines", lambda _: catalog.engines()),
            ("GET", "/v2/{project}/training-job-flavors", 200,
             "ShowTrainingJobFlavors", _flavors),
            ("GET", "/v2/{project}/training-quotas", 200,
             "ShowTrainingQuotas", lambda _: {"quotas": [self._quota()]}),
            ("PUT", "/v2/{project}/training-quotas", 200,
             "ModifyTrainingQuotas", self._modify_quotas),
            ("GET", "/v1/{project}/quotas", 200,
             "ShowOsQuota", lambda _: catalog.RESOURCE_QUOTAS),
            ("GET", "/v1/{project}/os-user-config", 200,
             "ShowOsConfig", lambda _: catalog.NETWORK_QUOTAS),
            ("GET", "/v1/{project}/models/ai-engine-runtimes", 200,
             "ListEngineRuntimes", lambda _: catalog.engine_runtimes()),
        ]  # fmt: skip

    # ---- what is not about one thing ---------------------------------------------------------------------------

    def _log_url(self, request: Request) -> Json:
        job, task = request.params["job"], request.params["task"]
        self.jobs.log(job, task)
        return {"obs_url": f"{self._url()}{LOGS.format(job=job, task=task)}"}

    def _whole_log(self, request: Request) -> Response:
        lines = self.jobs.log(request.params["job"], request.params["task"])
        text = "".join(f"{line}\n" for line in lines)
        return Response(200, text.encode(), {"Content-Type": "text/plain; charset=utf-8"})

    def _metrics(self, request: Request) -> Json:
        """How busy the machines are; nobody measures that here."""
        self.jobs.log(request.params["job"], request.params["task"])
        return {"metrics": [{"metric": one, "value": [-1]} for one in ("cpuUsage", "memUsage")]}

    def _tasks(self, request: Request) -> list[Json]:
        tasks = self.jobs.tasks(self.jobs.find(request.params["job"]))
        return [{"task": one, "ip": "127.0.0.1", "host_ip": "127.0.0.1", "schedule_count": 1} for one in tasks]

    def _quota(self) -> Json:
        return {"resource": "job-num", "quota": self.jobs.quota, "used": self.jobs.count()}

    def _modify_quotas(self, request: Request) -> Json:
        for one in objects(_object(request), "quotas"):
            if one.get("resource") != "job-num":
                raise RefusalError(INVALID, "there is a quota of job-num alone")
            self.jobs.quota = number(one, "quota", self.jobs.quota, least=0)
        return {"user_id": "emulated", "quotas": [self._quota()]}


def _reply(said: Any, status: int, method: str) -> Response:
    """The reply of an operation, which may have nothing to say: a deletion, or what there is nothing of yet."""
    ident = {"X-Request-Id": uuid.uuid4().hex}
    if status == 204 or (said is None and method == "GET"):
        return Response(204, headers=ident)
    return Response.json("" if said is None and status == 202 else said, status, ident)


def _object(request: Request) -> Json:
    body = request.json()
    if not isinstance(body, dict):
        raise RefusalError("2787", "The body must be an object.")
    return body


def _template(request: Request) -> Json:
    found = catalog.template(request.params["kind"], request.params["name"])
    if found is None:
        raise RefusalError(INVALID, f"there is no template {json.dumps(dict(request.params))}")
    return found


def _flavors(request: Request) -> Json:
    wanted = request.query.get("flavor_type")
    if wanted is not None and wanted not in _FLAVOR_TYPES:
        raise RefusalError(INVALID, f"flavor_type must be one of {', '.join(_FLAVOR_TYPES)}, not {wanted!r}")
    found = [one for one in catalog.FLAVORS.values() if wanted in {None, one["flavor_type"]}]
    return {"total_count": len(found), "flavors": found}
