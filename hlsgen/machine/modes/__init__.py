# SPDX-License-Identifier: Apache-2.0
"""The modes of LOAD, MULTIPLY and DRAIN, one file each, and the memories that they work on.

A mode is one entry: its code in a command, what it means, the fields that it reads, its meaning on the
memories and its time. `hlsgen/machine/modes/table.py` has them all.
"""
