# SPDX-License-Identifier: Apache-2.0
"""Between the core and the bus: registers, header, readers and writers."""
