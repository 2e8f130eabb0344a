"""Simulation: bus models, test benches, Verilator harness and its runner."""
