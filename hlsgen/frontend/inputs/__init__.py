# SPDX-License-Identifier: Apache-2.0
"""What a user names on the command line or hands over: models, images, arrays. All of it is checked here."""
