# SPDX-License-Identifier: Apache-2.0
"""Where things lie in a build folder: paths that more than one part of hlsgen needs."""

MANIFEST = "manifest.json"
PLAIN, TRACED = "rtl/top.v", "rtl/top_trace.v"
"""The accelerator's Verilog, and the same with trace ports, for simulation only."""
MEASURED = "measured.json"
"""The counters of the last RTL simulation."""
DERIVED = (TRACED, MEASURED)
"""Files that a simulation adds; the manifest doesn't list them."""
