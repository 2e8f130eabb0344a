# SPDX-License-Identifier: Apache-2.0
"""Bitstream projects: exported for a board, built and checked with its tools."""
