# SPDX-License-Identifier: Apache-2.0
"""The accelerator in Amaranth: core, masters, registers, board tops."""
