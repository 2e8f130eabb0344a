# SPDX-License-Identifier: Apache-2.0
"""Folders on disk: read with checks, written so that a crash at any point loses nothing."""
