# SPDX-License-Identifier: Apache-2.0
"""What projects of boards with a serial port share, whatever their family: pins, memories' contents, host."""
