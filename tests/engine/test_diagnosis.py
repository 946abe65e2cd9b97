"""From exit statuses and last words to the failure taxonomy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneport.engine.diagnosis import diagnose, of_device
from tuneport.model.results import FailureKind


@pytest.mark.parametrize(
    ("code", "lines", "kind", "said"),
    [
        (1, ["Traceback", "ValueError: no such layer", "cleaning up"], FailureKind.CODE, "ValueError: no such layer"),
        (2, ["train.py: error: unrecognized arguments: --x"], FailureKind.CODE, "unrecognized"),
        (7, [], FailureKind.CODE, "status 7"),
        (-11, [], FailureKind.CODE, "SIGSEGV"),
        (139, [], FailureKind.CODE, "SIGSEGV"),
        (-9, [], FailureKind.PREEMPTED, "SIGKILL"),
        (137, [], FailureKind.PREEMPTED, "SIGKILL"),
        (-15, [], FailureKind.PREEMPTED, "SIGTERM"),
        (1, ["torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"], FailureKind.OUT_OF_MEMORY, ""),
        (1, ["MemoryError"], FailureKind.OUT_OF_MEMORY, ""),
        (255, [], FailureKind.CODE, "status 255"),
    ],
)
def test_ends(code: int, lines: list[str], kind: FailureKind, said: str) -> None:
    failure = diagnose(code, lines)
    assert failure is not None
    assert failure.kind is kind
    assert said in failure.message
    assert (failure.exit_code, list(failure.last_lines)) == (code, lines)


@pytest.mark.parametrize(
    ("line", "device"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", True),
        ("RuntimeError: CUDA error: out of memory", True),
        ("torch.OutOfMemoryError: HIP out of memory. Tried to allocate 2 GiB", True),
        ("ResourceExhaustedError: OOM when allocating tensor with shape[9] on /device:GPU:0 by allocator", True),
        ("jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate", True),
        ("RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED", True),
        ("cupy.cuda.memory.OutOfMemoryError: Out of memory allocating 80,000 bytes", True),
        ("MemoryError: Unable to allocate 2 GiB for an array", False),
        ("ResourceExhaustedError: OOM when allocating tensor with shape[9] on /device:CPU:0 by allocator", False),
        ("OSError: [Errno 12] Cannot allocate memory", False),
    ],
)
def test_lack_of_a_devices_memory_is_told_from_that_of_the_machine(line: str, device: bool) -> None:
    failure = diagnose(1, ["epoch 3", line, "cleaning up"])
    assert failure is not None
    assert failure.kind is FailureKind.OUT_OF_MEMORY
    assert of_device(failure) is device


def test_who_was_ended_for_its_memory_is_told_so() -> None:
    failure = diagnose(-9, [], excess="had 5 GiB")
    assert failure is not None
    assert (failure.kind, failure.message) == (FailureKind.OUT_OF_MEMORY, "had 5 GiB")
    assert not of_device(failure)
    assert diagnose(0, [], excess="had 5 GiB") is None, "it had ended before"


def test_the_kernels_word_on_memory_counts_more_than_the_signal() -> None:
    failure = diagnose(-9, [], out_of_memory=True)
    assert failure is not None
    assert failure.kind is FailureKind.OUT_OF_MEMORY


def test_who_was_told_to_stop_has_not_failed() -> None:
    assert diagnose(-15, [], stopped=True) is None
    assert diagnose(0, ["error: but all is well"]) is None
    late = diagnose(-15, [], timed_out=True, timeout=90.0)
    assert late is not None
    assert "90 s" in late.message


@given(st.integers(-64, 512), st.lists(st.text()), st.booleans(), st.booleans(), st.booleans())
def test_every_end_has_a_diagnosis(code: int, lines: list[str], late: bool, stopped: bool, memory: bool) -> None:
    failure = diagnose(code, lines, timed_out=late, stopped=stopped, out_of_memory=memory, timeout=1.0)
    assert (failure is None) == (not late and (code == 0 or stopped))
