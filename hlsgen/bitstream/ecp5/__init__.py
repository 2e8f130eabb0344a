# SPDX-License-Identifier: Apache-2.0
"""ECP5: projects written, built with Yosys and nextpnr, and their netlist simulated."""
