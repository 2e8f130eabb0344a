"""The accelerator in Amaranth: core, masters, registers, board tops."""
