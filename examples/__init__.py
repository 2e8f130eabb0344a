"""Shipped examples, importable as `hlsgen.examples`."""
