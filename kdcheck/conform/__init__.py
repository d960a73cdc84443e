"""Conformance: does a loss or a trainer that others wrote do what its users think it does?"""

from kdcheck.conform.results import CheckResult, Report, Status

__all__ = ["CheckResult", "Report", "Status"]
