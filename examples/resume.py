"""Kill a run half-way, as a power cut would, and go on with it: no trial is lost, none runs twice.

Run it: python examples/resume.py
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

JOB = """
name: survivor
study:
  parameters: [{name: x, kind: float, low: -2, high: 2}, {name: y, kind: float, low: -2, high: 2}]
  objectives: [{metric: loss, goal: minimize}]
  algorithm: {kind: random, seed: 5}
trial: {command: [python, train.py]}
budget: {max_trials: 20, parallel_trials: 2}
"""
TRAIN = """
import time, tuneport_trial
p = tuneport_trial.params()
time.sleep(0.3)
tuneport_trial.report(loss=(1 - p["x"]) ** 2 + 100 * (p["y"] - p["x"] ** 2) ** 2)
"""


def tuneport(*arguments):
    """Run the command line, and read the JSON that it prints."""
    done = subprocess.run([sys.executable, "-m", "tuneport", *arguments, "--json"], capture_output=True, check=True)
    return json.loads(done.stdout)


def ended(run):
    return {trial["id"]: trial["final_measurement"] for trial in run["trials"] if trial["state"] == "succeeded"}


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    Path("job.yaml").write_text(JOB)
    Path("train.py").write_text(TRAIN)
    runner = subprocess.Popen([sys.executable, "-m", "tuneport", "run", "job.yaml", "--quiet"])
    time.sleep(2)
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    ref = tuneport("runs")[0]["ref"]
    before = tuneport("status", ref)
    print(f"killed: {before['state']}, {len(ended(before))} of 20 trials had ended")
    after = tuneport("resume", ref)
    kept = all(ended(after)[trial] == result for trial, result in ended(before).items())
    print(f"resumed: {after['state']}, {len(ended(after))} of 20 trials have ended, earlier results kept: {kept}")
