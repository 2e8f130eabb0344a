# SPDX-License-Identifier: Apache-2.0
"""The kinds of errors. Each has a code, and a page (`pages.py`) that `hlsgen explain CODE` prints."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """A kind of error. Its class of errors, or the place that raises it, names it."""

    CALL = "HG001"
    WRITE = "HG002"
    READ = "HG003"
    DAMAGED = "HG004"
    FOLDER = "HG005"
    VERSION = "HG006"
    STALE = "HG007"
    CONFIGURATION = "HG008"
    QUANTIZER = "HG009"
    BUSY = "HG010"
    MODEL = "HG020"
    MODEL_FILE = "HG021"
    WEIGHTS = "HG022"
    INTERFACE = "HG023"
    PACKAGE = "HG024"
    IMAGES = "HG030"
    PREPROCESSING = "HG031"
    BOARD = "HG040"
    MACHINE = "HG041"
    PROJECT = "HG042"
    UNSUPPORTED = "HG101"
    EXPORT = "HG102"
    DIFFERS = "HG103"
    LOWERING = "HG104"
    INTEGERS = "HG105"
    RANGE = "HG106"
    IMPORTED = "HG107"
    FIT = "HG201"
    MISMATCH = "HG301"
    NETLIST = "HG302"
    TOOL_MISSING = "HG401"
    TOOL_FAILED = "HG402"
    TOOL_TIME = "HG403"
    TIMING = "HG404"
    DEFECT = "HG900"
