# SPDX-License-Identifier: Apache-2.0
"""Simulation: bus models, test benches, Verilator harness and its runner."""
