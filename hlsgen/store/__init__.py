# SPDX-License-Identifier: Apache-2.0
"""Files and folders: what a design is on disk, written whole or not at all, and read with suspicion."""
