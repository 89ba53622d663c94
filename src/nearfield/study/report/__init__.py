"""The report of an audit: JSON, pictures, a page for people, and a table on the terminal."""

from nearfield.study.report.files import check_place, checked, plain, read_audit, write_audit, write_report
from nearfield.study.report.table import print_report

__all__ = ["check_place", "checked", "plain", "print_report", "read_audit", "write_audit", "write_report"]
