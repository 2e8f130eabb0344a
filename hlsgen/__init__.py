"""A compiler from PyTorch vision transformers to FPGA accelerators."""
