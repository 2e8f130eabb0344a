# SPDX-License-Identifier: Apache-2.0
"""The version of this package, which build folders and projects name."""

from importlib.metadata import version

__version__ = version("hlsgen")
