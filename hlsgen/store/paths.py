# SPDX-License-Identifier: Apache-2.0
"""Where things lie in a build folder: paths that more than one part of hlsgen needs."""

MANIFEST = "manifest.json"
PLAIN, TRACED = "rtl/top.v", "rtl/top_trace.v"
"""The accelerator's Verilog, and the same with trace ports, for simulation only."""
MEASURED = "measured.json"
"""The counters of the last RTL simulation."""
EVALUATED = "evaluated.json"
"""The figures of the last evaluation."""
DERIVED = (TRACED, MEASURED, EVALUATED)
"""Files that simulations and evaluations add; the manifest doesn't list them."""
