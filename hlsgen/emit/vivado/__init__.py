# SPDX-License-Identifier: Apache-2.0
"""The project of a Zynq UltraScale+ board: Vivado's scripts and the driver."""
