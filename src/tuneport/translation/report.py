"""What a translation did to each field, and whether that is tolerable."""

from __future__ import annotations

from tuneport.errors import Problem, ToleranceError
from tuneport.model.features import Feature
from tuneport.model.word import Json, Word
from tuneport.translation.capabilities import Fidelity


class FieldReport(Word):
    """What became of one field."""

    pointer: str
    """JSON pointer of the field in the job."""
    feature: Feature | None = None
    """The feature that it belongs to, if it is one."""
    fidelity: Fidelity
    """How faithfully it was translated."""
    before: Json = None
    """What it was."""
    after: Json = None
    """What comes out of translating there and back."""
    by: str | None = None
    """What does it where the backend has no word for it."""
    note: str = ""
    """What differs, or why it cannot be done."""


class TranslationReport(Word):
    """What a translation did to a job, field by field; what is not listed is as it was."""

    fields: tuple[FieldReport, ...] = ()
    """Every field that the translation touched."""

    @property
    def worst(self) -> Fidelity:
        """The least faithful that happened to any field."""
        return max((field.fidelity for field in self.fields), default=Fidelity.EXACT)

    def require(self, tolerance: Fidelity) -> None:
        """Insist on a fidelity.

        Args:
            tolerance: the worst that is acceptable. UNSUPPORTED never is, whatever is said here.

        Raises:
            ToleranceError: some fields are worse; each of them is a problem of the error.
        """
        worse = [field for field in self.fields if field.fidelity > tolerance or field.fidelity is Fidelity.UNSUPPORTED]
        if worse:
            msg = f"the translation is lossier than '{tolerance.value}': {len(worse)} of {len(self.fields)} fields"
            hint = f"tolerate '{self.worst.value}' if that is meant" if self.worst is not Fidelity.UNSUPPORTED else None
            raise ToleranceError(msg, hint=hint, problems=[_problem(field) for field in worse], report=self)


def _problem(field: FieldReport) -> Problem:
    change = f" {field.before!r} becomes {field.after!r};" if field.fidelity is Fidelity.APPROXIMATED else ""
    return Problem(field.pointer, f"{field.fidelity.value}:{change} {field.note}".rstrip(" ;:"))
