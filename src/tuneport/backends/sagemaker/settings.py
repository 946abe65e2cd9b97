"""What SageMaker needs to know that is not tuning, and what people set once per account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tuneport.model.word import Str, Word


class SageMakerSettings(Word):
    """Settings of SageMaker: the section `[sagemaker]` of tuneport.toml, the variables TUNEPORT_SAGEMAKER__*."""

    WORDS: ClassVar[Mapping[str, str]] = {
        "role": "/trial/identity",
        "output": "/trial/output/uri",
        "image": "/trial/image",
        "machine": "/trial/resources/machine",
        "training_plan": "/trial/resources/pool",
        "subnets": "/trial/network/subnets",
        "security_groups": "/trial/network/security_groups",
        "key": "/trial/encryption/key",
        "disk_key": "/trial/encryption/disk_key",
    }
    """What stands in for words that a job leaves open."""

    region: Str | None = None
    """Region, such as eu-west-1; None: as AWS's own settings say."""
    profile: Str | None = None
    """Profile of AWS's own settings; None: as they say."""
    endpoint: Str | None = None
    """Where the service and its logs are, such as an emulator; None: as AWS's own settings say."""
    role: Str | None = None
    """ARN of the role that training jobs run as."""
    output: Str | None = None
    """Prefix of results, s3://bucket/prefix."""
    image: Str | None = None
    """Container image of trials."""
    machine: Str | None = None
    """Instance type, such as ml.m5.xlarge."""
    training_plan: Str | None = None
    """ARN of the training plan that trials run on."""
    subnets: tuple[Str, ...] = ()
    """Subnets that trials are in."""
    security_groups: tuple[Str, ...] = ()
    """Security groups of trials."""
    key: Str | None = None
    """KMS key for results."""
    disk_key: Str | None = None
    """KMS key for disks."""
