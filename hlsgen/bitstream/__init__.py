# SPDX-License-Identifier: Apache-2.0
"""Exported projects to bitstreams: runs the tools that are there and reads what they report."""
