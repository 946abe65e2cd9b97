"""The plainest document, and how others are made of it."""

import copy

PLAIN = {
    "displayName": "plain",
    "maxTrialCount": 4,
    "parallelTrialCount": 2,
    "studySpec": {
        "metrics": [{"metricId": "loss", "goal": "MINIMIZE"}],
        "parameters": [
            {
                "parameterId": "x",
                "doubleValueSpec": {"minValue": 0.5, "maxValue": 2.0},
                "scaleType": "UNIT_LINEAR_SCALE",
            }
        ],
    },
    "trialJobSpec": {
        "workerPoolSpecs": [
            {
                "machineSpec": {"machineType": "n1-standard-4"},
                "replicaCount": "1",
                "containerSpec": {"imageUri": "gcr.io/p/train:1"},
            }
        ]
    },
}
POOL = "/trialJobSpec/workerPoolSpecs/0"
SPACE = "/studySpec/parameters"
GONE = object()


def plain(**changes):
    """The plainest document with something else at some places; `a__0__b` is the place /a/0/b."""
    made = copy.deepcopy(PLAIN)
    for place, value in changes.items():
        *path, last = (int(part) if part.isdigit() else part for part in place.split("__"))
        here = made
        for part in path:
            here = here.setdefault(part, {}) if isinstance(here, dict) else here[part]
        if value is GONE:
            del here[last]
        else:
            here[last] = value
    return made


def space(*specs, **changes):
    """The plainest document with other parameters."""
    return plain(studySpec__parameters=list(specs), **changes)


def child(values, spec, kind="Categorical"):
    """A conditional spec."""
    return {f"parent{kind}Values": {"values": values}, "parameterSpec": spec}


def choice(name, *values, children=()):
    """A categorical spec."""
    spec = {"parameterId": name, "categoricalValueSpec": {"values": list(values)}}
    return spec | ({"conditionalParameterSpecs": list(children)} if children else {})


def integer(name, low=1, high=8, **more):
    """An integer spec."""
    return {"parameterId": name, "integerValueSpec": {"minValue": str(low), "maxValue": str(high)}, **more}


def discrete(name, *values, **more):
    """A discrete spec."""
    return {"parameterId": name, "discreteValueSpec": {"values": list(values)}, **more}


def double(name, low=0.5, high=2.0, **more):
    """A double spec."""
    return {"parameterId": name, "doubleValueSpec": {"minValue": low, "maxValue": high}, **more}
