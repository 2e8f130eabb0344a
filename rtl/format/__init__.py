# SPDX-License-Identifier: Apache-2.0
"""Layouts that several stages share: commands, jobs, words of the streams."""
