# SPDX-License-Identifier: Apache-2.0
"""Projects that Yosys and nextpnr build, of any family: placements, the check of the netlist, the result."""
