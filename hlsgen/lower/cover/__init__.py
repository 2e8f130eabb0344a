# SPDX-License-Identifier: Apache-2.0
"""The second pass: which nodes of an integer Graph one command executes together."""
