# SPDX-License-Identifier: Apache-2.0
"""A board around the accelerator, of any family: serial port, Image in block RAM, a host in hardware."""
