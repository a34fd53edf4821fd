"""Shared between the tests."""

from pathlib import Path

import pytest
from hypothesis import settings

# A loaded machine is no reason to fail.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def trace_file() -> Path:
    """A recorded trace of real requests, where it lies beside the project."""
    path = SHARED / "data" / "azure_llm_code_2023.csv"
    if not path.exists():
        pytest.skip("the recorded trace is not here")
    return path
