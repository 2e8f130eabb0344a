# SPDX-License-Identifier: Apache-2.0
"""What a machine is and reads: parameters, commands, constants, the Image, the layouts of its ports."""
