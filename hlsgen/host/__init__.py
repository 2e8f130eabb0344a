# SPDX-License-Identifier: Apache-2.0
"""The computer that hlsgen runs on: child processes, signals, memory."""
