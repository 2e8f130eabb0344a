# SPDX-License-Identifier: Apache-2.0
"""Zynq UltraScale+: projects written, and built with Vivado."""
