# SPDX-License-Identifier: Apache-2.0
"""What a program computes: the interpreter, and the trace that every level is compared by."""
