"""Linear algebra on one thread: for matrices this small, several only wait for each other on a busy machine."""

import pytest
import scipy.linalg  # noqa: F401 - brings a library of its own, which can be limited only once it is there
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    with threadpool_limits(1, user_api="blas"):
        yield
