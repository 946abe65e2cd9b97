"""Submits jobs and is killed between its calls, then submits again; a line of JSON for each time.

A program for test_killed.py. Every attempt is a process of its own, forked when all is loaded; SIGKILL ends it once so
many answers have come (with none: when it is about to send the first request), until it comes through unharmed.
"""

import http.client
import json
import os
import signal
import sys
from itertools import count

import tuneport as tp
from tuneport.backends import registry, retries
from tuneport.translating import settings_of

asked = json.loads(sys.argv[1])
retries.SLOWEST = 0.01


def submit(name):
    job = tp.TuningJob.model_validate(asked["job"] | {"name": name})
    return tp.submit(
        job, on=asked["on"], settings=asked["settings"], form=asked["form"], tolerate="approximated", workspace=name
    ).ref


def harm(answers, lost):
    """Have this process killed after so many answers; `lost`: the first of them, besides, never arrives."""
    send, receive, received = http.client.HTTPConnection.putrequest, http.client.HTTPConnection.getresponse, count(1)

    def putrequest(connection, *arguments, **options):
        if answers == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return send(connection, *arguments, **options)

    def getresponse(connection):
        answer, now = receive(connection), next(received)
        if now == answers:
            os.kill(os.getpid(), signal.SIGKILL)
        if now == 1 and lost:
            connection.close()
            raise ConnectionResetError("the answer is lost")
        return answer

    http.client.HTTPConnection.putrequest, http.client.HTTPConnection.getresponse = putrequest, getresponse


def forked(act):
    """Do something in a process of its own; whether it was killed."""
    pid = os.fork()
    if pid == 0:
        act()
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    assert status in {0, signal.SIGKILL}, status
    return status == signal.SIGKILL


def attempt(answers, lost):
    """One submission, and another one if it was killed; whether it was."""
    name = f"after-{answers}{'-lost' * lost}"

    def first():
        harm(answers, lost)
        submit(name)

    killed = forked(first)
    if killed:
        forked(lambda: print(json.dumps({"name": name, "ref": submit(name)}), flush=True))
    return killed


cloud = registry.load(asked["on"])
cloud.connect(settings_of(cloud, asked["settings"]))  # loads the SDK
for lost in (False, True):
    unharmed = next(answers for answers in count() if not attempt(answers, lost))
    print(json.dumps({"lost": lost, "calls": unharmed - 1}), flush=True)
