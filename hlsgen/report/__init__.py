# SPDX-License-Identifier: Apache-2.0
"""Figures of a design, as text and as data."""

from hlsgen.report.report import Report, make_report

__all__ = ["Report", "make_report"]
