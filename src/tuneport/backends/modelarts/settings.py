"""What ModelArts needs to know that is not tuning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tuneport.model.word import Str, Word


class ModelArtsSettings(Word):
    """Settings of ModelArts: the section `[modelarts]` of tuneport.toml, the variables TUNEPORT_MODELARTS__*."""

    WORDS: ClassVar[Mapping[str, str]] = {
        "image": "/trial/image",
        "machine": "/trial/resources/machine",
        "pool": "/trial/resources/pool",
        "output": "/trial/output/uri",
    }
    """Settings to the words of a job that they stand for where it leaves them open."""

    region: Str | None = None
    """Region, such as cn-north-4; None: that of the endpoint, where jobs are sent to one."""
    project: Str | None = None
    """Project id; None: that of the region."""
    workspace: Str | None = None
    """Workspace id; None: the default workspace."""
    logs: Str | None = None
    """Folder on OBS that gets the jobs' logs, such as obs://bucket/logs/."""
    image: Str | None = None
    """A preset engine's id, or an image of SWR such as organisation/name:tag."""
    machine: Str | None = None
    """Flavor of a public pool, such as modelarts.vm.cpu.8u."""
    pool: Str | None = None
    """Id of a dedicated pool."""
    output: Str | None = None
    """Folder on OBS that gets results, such as obs://bucket/runs/."""
    endpoint: Str | None = None
    """Where the service is, such as https://modelarts.cn-north-4.myhuaweicloud.com; None: where its region has it.

    A place without TLS, http://..., is an emulator; it gets no credentials but those of HUAWEICLOUD_SDK_AK."""
