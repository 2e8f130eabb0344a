# SPDX-License-Identifier: Apache-2.0
"""A local page on which a drawn digit is decided by the simulated RTL."""

MODELS = ("digits", "digits-moe")
"""The shipped examples that have a page."""
