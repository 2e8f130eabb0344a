# SPDX-License-Identifier: Apache-2.0
"""Shipped examples, importable as `hlsgen.examples`."""
