"""The verb emulate as its users have it: a process, real HTTP, SIGTERM, kill -9; and the fixture for pytest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.emulators import small_door  # noqa: F401 - see below
