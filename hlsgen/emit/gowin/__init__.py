# SPDX-License-Identifier: Apache-2.0
"""The project of a Gowin board: the whole board in one Verilog file, scripts, host program."""
