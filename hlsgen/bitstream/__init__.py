# SPDX-License-Identifier: Apache-2.0
"""Bitstream projects: exported for a board, built and checked with its tools.

A *project* is the folder that `export` writes for a board; the *build folder* (`hlsgen.store.folder`) is what
`hlsgen compile` writes. A family's own code stands in a folder of its own.
"""
