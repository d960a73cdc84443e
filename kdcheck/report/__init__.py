"""The report: one record of what was judged, shown as a page, as Markdown, as JSON and as a badge."""

from kdcheck.report.badge import badge
from kdcheck.report.files import write
from kdcheck.report.markdown import markdown
from kdcheck.report.page import html
from kdcheck.report.record import build, schema, to_json

__all__ = ["badge", "build", "html", "markdown", "schema", "to_json", "write"]
