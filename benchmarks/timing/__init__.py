# SPDX-License-Identifier: Apache-2.0
"""What clock and what size an accelerator's mapped netlist allows, by published delays."""
