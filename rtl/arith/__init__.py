# SPDX-License-Identifier: Apache-2.0
"""Arithmetic: rounding, multipliers, reciprocals."""
