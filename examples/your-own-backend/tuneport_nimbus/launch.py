"""How a trial runs on Nimbus: parameters as flags, metrics as lines of its output."""

from __future__ import annotations

from tuneport.engine.launch import Launch, TrialContext, environment, flags, plain_text, printed, program, spoken


def launch(trial: TrialContext) -> Launch:
    """Describe a trial as Nimbus would start it."""
    return Launch(
        argv=(*program(trial), *flags(trial, plain_text)),
        cwd=trial.base,
        env=environment(trial) | spoken(trial),
        patterns=printed(trial),
    )
