"""Which of a trial's processes a node starts, and what each of them is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from tuneport.backends.local.launch import launch
from tuneport.engine.executors.crew import crew, crew_size, together
from tuneport.engine.launch import ALONE, Peer, Replica, TrialContext, as_machine, environment, own_folder
from tuneport.model.job import TuningJob
from tuneport.model.trial_spec import Resources


@pytest.fixture
def four(make_job: Callable[..., TuningJob]) -> TrialContext:
    """A trial of four processes with four GPUs."""
    job = make_job("", trial={"resources": Resources(replicas=4, gpus=1)})
    return TrialContext(job, "run", 1, 1, {"x": 0.5}, "/w/trials/1", "/w", "python", ("0", "1", "2", "3"))


def test_all_are_here_unless_somebody_says_where_they_are(four: TrialContext) -> None:
    members = crew(four)
    assert [one.replica.rank for one in members] == [0, 1, 2, 3]
    assert crew_size(four) == 4
    ports = {peer.port for one in members for peer in one.replica.peers}
    assert len(ports) == 4, "each has its own, and all know them"
    assert [own_folder(one) for one in members[:2]] == ["/w/trials/1", "/w/trials/1/replica-1"]


def test_a_node_has_its_share(four: TrialContext) -> None:
    """Three nodes: two processes on the first, one on each of the others."""
    peers = (Peer(0, "a", 1), Peer(0, "a", 2), Peer(1, "b", 3), Peer(2, "c", 4))
    shares = {rank: crew(replace(four, replica=Replica(rank, peers))) for rank in (0, 2, 3)}
    assert {rank: [one.replica.rank for one in share] for rank, share in shares.items()} == {0: [0, 1], 2: [2], 3: [3]}
    assert [crew_size(share[0]) for share in shares.values()] == [2, 1, 1]
    told = environment(shares[2][0])
    wanted = {"RANK": "2", "LOCAL_RANK": "0", "GROUP_RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "1"}
    assert {name: told[name] for name in wanted} == wanted
    assert (told["MASTER_ADDR"], told["MASTER_PORT"], told["GROUP_WORLD_SIZE"]) == ("a", "1", "3")


def test_one_process_is_started_as_it_is_and_several_by_a_plan(four: TrialContext) -> None:
    peers = (Peer(0, "a", 1), Peer(0, "a", 2), Peer(0, "a", 3), Peer(1, "b", 4))
    last = crew(replace(four, replica=Replica(3, peers)))
    assert together(last, [launch(one) for one in last]) == launch(last[0])
    three = crew(replace(four, replica=Replica(0, peers)))
    begun = together(three, [launch(one) for one in three])
    plan = json.loads(begun.files["replicas.json"])
    assert [one["env"]["RANK"] for one in plan] == ["0", "1", "2"]
    assert [one["log"] for one in plan] == [None, *(f"/w/trials/1/replica-{rank}/output.log" for rank in (1, 2))]


def test_a_machine_has_its_part_of_the_gpus_to_itself(four: TrialContext) -> None:
    alone = [as_machine(one) for one in crew(four)]
    assert [one.gpus for one in alone] == [("0",), ("1",), ("2",), ("3",)]
    assert {environment(one)["LOCAL_RANK"] for one in alone} == {"0"}
    assert [environment(one)["NODE_RANK"] for one in alone] == ["0", "1", "2", "3"]
    shared = [as_machine(replace(one, gpus=("5",))) for one in crew(four)]
    assert {one.gpus for one in shared} == {("5",)}, "a part of one is the same one for all"


def test_a_trial_of_one_process_is_told_of_no_other(make_job: Callable[..., TuningJob]) -> None:
    trial = TrialContext(make_job(""), "run", 1, 1, {"x": 0.5}, "/w/trials/1", "/w", "python")
    assert [one.replica for one in crew(trial)] == [ALONE]
    assert not {"RANK", "MASTER_ADDR", "WORLD_SIZE"} & environment(trial).keys()
