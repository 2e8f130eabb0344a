# SPDX-License-Identifier: Apache-2.0
"""Attention systems of papers, each as its authors would write it, small, with seeded random weights."""
