# SPDX-License-Identifier: Apache-2.0
"""`hlsgen.toml`: everything that a compilation is asked for, in one file."""
