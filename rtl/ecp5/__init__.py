# SPDX-License-Identifier: Apache-2.0
"""An ECP5 board around the accelerator: clock, serial port, Image in block RAM."""
