"""What Nimbus needs to know that is not tuning, and what people set once per account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tuneport.model.word import Str, Word


class NimbusSettings(Word):
    """The section `[nimbus]` of tuneport.toml, and the variables TUNEPORT_NIMBUS__*."""

    WORDS: ClassVar[Mapping[str, str]] = {"image": "/trial/image", "results": "/trial/output/uri"}
    """Settings that stand in for words that a job leaves open."""

    account: Str | None = None
    """Who pays."""
    image: Str | None = None
    """Container image of trials."""
    results: Str | None = None
    """Where trials keep their results: nim://bucket/folder/."""
