# SPDX-License-Identifier: Apache-2.0
"""Job arrays of Slurm as text, for sites without Dask."""

from __future__ import annotations

_TEXT = """\
#!/bin/sh
#SBATCH --job-name=hlsgen
#SBATCH --array=1-{jobs}
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --time=04:00:00
#SBATCH --requeue
# Add what your site asks for (partition, account, modules). A job that is started again goes on where it was.
set -eu
exec {command}
"""


def job_array(command: str, jobs: int) -> str:
    """A script for `sbatch`; the shell's command finds its number, from 1 on, in $SLURM_ARRAY_TASK_ID."""
    return _TEXT.format(jobs=jobs, command=command)
