# SPDX-License-Identifier: Apache-2.0
"""Where many equal calls run: in this process, in processes beside it, on a cluster with Dask."""
