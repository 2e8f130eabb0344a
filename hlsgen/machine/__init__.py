# SPDX-License-Identifier: Apache-2.0
"""The machine as data: its format, what it computes, how long it takes. It knows no Graph and no RTL."""
