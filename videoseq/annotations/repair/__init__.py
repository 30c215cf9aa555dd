"""Whether an annotation CSV fits its video, and how to repair it."""

from __future__ import annotations

from videoseq.annotations.repair.fit import Fit, check_fit, write_repaired
from videoseq.annotations.repair.table import Finding

__all__ = ["Finding", "Fit", "check_fit", "write_repaired"]
