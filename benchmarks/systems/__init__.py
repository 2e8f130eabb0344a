# SPDX-License-Identifier: Apache-2.0
"""Attention systems: the examples' accuracy and commands, and published models on an array."""
