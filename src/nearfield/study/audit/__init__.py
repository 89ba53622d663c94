"""The audit: what makes neighbours neighbours, in any embedding."""

from nearfield.study.audit.run import Tell, audit
from nearfield.study.audit.settings import AuditConfig

__all__ = ["AuditConfig", "Tell", "audit"]
