"""Our words to ModelArts' and back: training jobs, stored algorithms and AutoSearch files."""

from __future__ import annotations

from typing import Any, TypeAlias

from tuneport.backends.modelarts.settings import ModelArtsSettings
from tuneport.backends.modelarts.translate import forms, rules
from tuneport.backends.modelarts.translate.autosearch import read_file, write_file
from tuneport.backends.modelarts.translate.canonical import canonical
from tuneport.backends.modelarts.translate.job import read_job, read_stored, write_job, write_stored
from tuneport.backends.protocols import Reading
from tuneport.errors import PayloadError, Problem
from tuneport.model.job import TuningJob

Json: TypeAlias = dict[str, Any]


class ModelArtsTranslator:
    """The documents of ModelArts."""

    forms = forms.FORMS

    def read(self, document: Json) -> Reading:
        """Recognise a document and make it canonical; responses keep what the service said besides.

        Raises:
            PayloadError: it is malformed, with every problem.
        """
        form = forms.recognised(document)
        found = forms.opened(document, form)
        if problems := rules.malformed(found, forms.KINDS[form]):
            raise _refused(problems)
        request, response = forms.taken_apart(found, form)
        return Reading(form, canonical(request, forms.KINDS[form]), response)

    def write(self, reading: Reading) -> Json:
        """The inverse of `read`."""
        return forms.merged(forms.dressed(reading.request, reading.form), reading.response)

    def to_native(self, job: TuningJob, settings: ModelArtsSettings, form: str) -> Json:
        """The canonical request for a job."""
        match forms.KINDS[form]:
            case "yaml":
                return write_file(job)
            case "algorithm":
                return write_stored(job, settings)
        return write_job(job, settings)

    def from_native(self, request: Json, form: str) -> tuple[TuningJob, ModelArtsSettings]:
        """The job that a canonical request asks for.

        Raises:
            PayloadError: it is no search.
            JobError: it makes no job.
        """
        kind = forms.KINDS[form]
        if problems := rules.malformed(request, kind):
            raise _refused(problems)
        settings: Json = {}
        match kind:
            case "yaml":
                job = read_file(request)
            case "algorithm":
                job, settings = read_stored(request)
            case _:
                job, settings = read_job(request)
        return TuningJob.model_validate(job), ModelArtsSettings.model_validate(settings)

    def problems(self, request: Json, form: str) -> list[Problem]:
        """Everything for which the service would refuse the request."""
        return forms.unsound(request, form, symbolic=form == "terraform") or rules.refused(request, forms.KINDS[form])


def _refused(problems: list[Problem]) -> PayloadError:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return PayloadError(f"this makes no job of ModelArts: {count}", problems=problems)


TRANSLATOR = ModelArtsTranslator()
