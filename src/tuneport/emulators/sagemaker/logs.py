"""CloudWatch Logs, as far as it has the logs of training jobs: reading alone.

A stream per training job, as for one container. Lines have no times of their own here, so they follow each other by a
millisecond from the start of the job.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tuneport.backends.protocols import Json
from tuneport.emulators.host import Host
from tuneport.emulators.sagemaker.shown import ACCOUNT, TrainingJob
from tuneport.emulators.sagemaker.tuning import Tuning
from tuneport.emulators.sagemaker.wire import Call, RefusedError

GROUP = "/aws/sagemaker/TrainingJobs"
MOST_EVENTS, MOST_STREAMS = 10_000, 50
_NOT_THERE, _WRONG = "ResourceNotFoundException", "InvalidParameterException"


@dataclass(frozen=True, slots=True)
class Stream:
    """The log of one training job.

    Attributes:
        name: the training job's name and its container's.
        start: its first moment, in milliseconds.
        training: whose it is.
    """

    name: str
    start: int
    training: TrainingJob

    @classmethod
    def of(cls, training: TrainingJob) -> Stream:
        """The stream of a training job that has begun."""
        started = training.trial.started or 0.0
        return cls(f"{training.name}/algo-1-{int(started)}", int(started * 1000), training)


def is_ours(request: Json) -> bool:
    """Whether a request is about the group of training jobs, which it may name by its ARN."""
    group = request.get("logGroupName") or request.get("logGroupIdentifier")
    return str(group).rpartition("log-group:")[2].removesuffix(":*") == GROUP


class Logs:
    """The operations, each a function from a call to the body of its answer.

    Args:
        host: has the logs.
        tuning: knows the training jobs.
    """

    def __init__(self, host: Host, tuning: Tuning) -> None:
        self._host = host
        self._tuning = tuning
        self.operations: Mapping[str, Callable[[Call], Json]] = {
            "DescribeLogStreams": self._streams,
            "GetLogEvents": self._get,
            "FilterLogEvents": self._filter,
        }

    def _streams(self, call: Call) -> Json:
        request = call.body
        by_time = request.get("orderBy") == "LastEventTime"
        if by_time and "logStreamNamePrefix" in request:
            raise RefusedError(_WRONG, "Cannot order by LastEventTime with a logStreamNamePrefix.")
        streams = [one for one in self._all(call) if one.name.startswith(request.get("logStreamNamePrefix", ""))]
        described = [self._described(one, call.region) for one in streams]
        key = "lastEventTimestamp" if by_time else "logStreamName"
        described.sort(key=lambda one: one.get(key, 0), reverse=bool(request.get("descending", False)))
        start, end = _window(request, MOST_STREAMS)
        return {"logStreams": described[start:end], **_next(end, len(described))}

    def _get(self, call: Call) -> Json:
        """A page of one stream. A token says from which event on, or up to which one; at an end it stays the same."""
        request = call.body
        streams = [one for one in self._all(call) if one.name == request.get("logStreamName")]
        if not streams:
            raise RefusedError(_NOT_THERE, "The specified log stream does not exist.")
        events = self._events(streams[0], request)
        limit = _amount(request, "limit", MOST_EVENTS, MOST_EVENTS)
        way, _, place = str(request.get("nextToken") or _first_token(request, len(events))).partition("/")
        if way not in {"f", "b"} or not place.isdigit():
            raise RefusedError(_WRONG, "The specified nextToken is invalid.")
        start = int(place) if way == "f" else max(0, int(place) - limit)
        end = min(start + limit, len(events)) if way == "f" else int(place)
        return {
            "events": events[start:end],
            "nextForwardToken": f"f/{max(start, end)}",
            "nextBackwardToken": f"b/{start}",
        }

    def _filter(self, call: Call) -> Json:
        request = call.body
        names, prefix = request.get("logStreamNames"), request.get("logStreamNamePrefix", "")
        chosen = [one for one in self._all(call) if (one.name in names if names else one.name.startswith(prefix))]
        terms = _terms(request.get("filterPattern", ""))
        events = [
            {"logStreamName": stream.name, **event, "eventId": f"{event['timestamp']:020}{index:020}"}
            for stream in chosen
            for index, event in enumerate(self._events(stream, request))
            if all(term in event["message"] for term in terms)
        ]
        events.sort(key=lambda one: one["timestamp"])
        start, end = _window(request, MOST_EVENTS)
        return {"events": events[start:end], "searchedLogStreams": [], **_next(end, len(events))}

    def _all(self, call: Call) -> list[Stream]:
        begun = [one for one in self._tuning.trainings(call.region) if one.trial.started is not None]
        if not begun:  # the group is made with its first stream
            raise RefusedError(_NOT_THERE, "The specified log group does not exist.")
        return sorted((Stream.of(one) for one in begun), key=lambda one: one.name)

    def _described(self, stream: Stream, region: str) -> Json:
        last = stream.training.trial.ended
        end = stream.start if last is None else int(last * 1000)
        return {
            "logStreamName": stream.name,
            "creationTime": stream.start,
            "firstEventTimestamp": stream.start,
            "lastEventTimestamp": end,
            "lastIngestionTime": end,
            "arn": f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{GROUP}:log-stream:{stream.name}",
            "storedBytes": 0,
        }

    def _events(self, stream: Stream, request: Json) -> list[Json]:
        lines = self._host.logs(stream.training.parent.run, stream.training.trial.id)
        start, end = request.get("startTime", 0), request.get("endTime", float("inf"))
        times = range(stream.start, stream.start + len(lines))
        return [
            {"timestamp": time, "message": line, "ingestionTime": time}
            for time, line in zip(times, lines, strict=True)
            if start <= time < end
        ]


def _first_token(request: Json, count: int) -> str:
    return "f/0" if request.get("startFromHead") else f"b/{count}"


def _window(request: Json, most: int) -> tuple[int, int]:
    token = str(request.get("nextToken") or "0")
    if not token.isdigit():
        raise RefusedError(_WRONG, "The specified nextToken is invalid.")
    return int(token), int(token) + _amount(request, "limit", most, most)


def _next(end: int, count: int) -> Json:
    return {"nextToken": str(end)} if end < count else {}


def _amount(request: Json, name: str, default: int, most: int) -> int:
    amount: Any = request.get(name, default)
    if not isinstance(amount, int) or not 1 <= amount <= most:
        raise RefusedError(_WRONG, f"'{name}' must be from 1 to {most}.")
    return amount


def _terms(pattern: str) -> list[str]:
    """The terms of a filter, all of which a line must have; other patterns are not played."""
    if pattern.lstrip().startswith(("{", "[", "%")):
        raise RefusedError(_WRONG, "the emulator knows patterns of plain terms only")
    try:
        return shlex.split(pattern)
    except ValueError as error:
        raise RefusedError(_WRONG, f"the filter pattern cannot be read: {error}") from None
