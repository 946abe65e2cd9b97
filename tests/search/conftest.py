"""Linear algebra on one thread: for matrices this small, several only wait for each other on a busy machine."""

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    with threadpool_limits(1, user_api="blas"):
        yield
