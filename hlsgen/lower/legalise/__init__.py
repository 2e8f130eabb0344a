# SPDX-License-Identifier: Apache-2.0
"""The first pass: integer Graph -> an equal one of which every node has a place in a command."""
