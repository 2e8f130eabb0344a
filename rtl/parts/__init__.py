# SPDX-License-Identifier: Apache-2.0
"""Parts of any design: memories, queues, pipelines, AXI."""
