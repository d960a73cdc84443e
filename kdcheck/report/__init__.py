"""The report: one record of what was judged, shown as a page, as Markdown, as JSON and as a badge."""

from kdcheck.report.page import html
from kdcheck.report.record import build, schema, to_json

__all__ = ["build", "html", "schema", "to_json"]
