"""Figures of the crash tests, printed at the end of the run."""

from tests.crash.conftest import figure, pytest_terminal_summary

__all__ = ["figure", "pytest_terminal_summary"]
