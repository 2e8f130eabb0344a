# SPDX-License-Identifier: Apache-2.0
"""What hlsgen is doing, for somebody who waits: the work tells its steps, the command line shows them."""
