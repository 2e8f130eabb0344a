# SPDX-License-Identifier: Apache-2.0
"""Models, images and arrays that a user names on the command line or hands over; all are checked here."""
