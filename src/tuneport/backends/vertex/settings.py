"""What Vertex AI needs to know that is not tuning, and what people set once per project."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from tuneport.model.word import Str, Word


class VertexSettings(Word):
    """Settings of the Vertex AI backend: the section `[vertex]` of tuneport.toml, the variables TUNEPORT_VERTEX__*."""

    WORDS: ClassVar[Mapping[str, str]] = {
        "image": "/trial/image",
        "machine": "/trial/resources/machine",
        "output": "/trial/output/uri",
        "service_account": "/trial/identity",
        "network": "/trial/network/name",
        "key": "/trial/encryption/key",
        "pool": "/trial/resources/pool",
        "tensorboard": "/experiment/tensorboard",
    }
    """Settings that stand in for words that a job leaves open."""

    project: Str | None = None
    """Project id or number; None: that of the application default credentials."""
    region: Str = "us-central1"
    """Location of the job, such as europe-west4."""
    image: Str | None = None
    """Container image of trials, in Artifact Registry."""
    machine: Str | None = None
    """Machine type of trials, such as n1-standard-8."""
    output: Str | None = None
    """Prefix in Cloud Storage below which trials keep their results."""
    service_account: Str | None = None
    """Service account that trials run as."""
    network: Str | None = None
    """Peered VPC network: projects/NUMBER/global/networks/NAME."""
    key: Str | None = None
    """Cloud KMS key: projects/P/locations/R/keyRings/K/cryptoKeys/C."""
    pool: Str | None = None
    """Id of a persistent resource."""
    tensorboard: Str | None = None
    """TensorBoard instance: projects/P/locations/R/tensorboards/ID."""
    transport: Literal["rest", "grpc"] = "rest"
    """How calls travel: `rest`, in Google's session, loads quickly; `grpc`: by google-cloud-aiplatform's clients."""
    endpoint: Str | None = None
    """Where the service is, such as https://europe-west4-aiplatform.googleapis.com; None: where its region has it.

    A place without TLS, http://..., is an emulator: no credentials are sent there."""
