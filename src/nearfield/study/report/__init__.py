"""The report of an audit: JSON, pictures, a page for people, and a table on the terminal."""

from nearfield.study.report.files import checked, read_audit, write_audit, write_report
from nearfield.study.report.table import print_report

__all__ = ["checked", "print_report", "read_audit", "write_audit", "write_report"]
