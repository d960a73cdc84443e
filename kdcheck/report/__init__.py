"""The report: one record of what was judged, shown as a page, as Markdown, as JSON and as a badge."""

from kdcheck.report.badge import badge
from kdcheck.report.contents import build, schema, to_json
from kdcheck.report.markdown import markdown
from kdcheck.report.output import write, write_tables
from kdcheck.report.page import html

__all__ = ["badge", "build", "html", "markdown", "schema", "to_json", "write", "write_tables"]
