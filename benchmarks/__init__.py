# SPDX-License-Identifier: Apache-2.0
"""Figures that README.md and docs/benchmarks.md quote, each printed by a command."""
