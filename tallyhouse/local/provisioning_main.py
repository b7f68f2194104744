"""`python -m tallyhouse.local.provisioning_main FOLDER`: makes topic, tables and the first key before other processes.

A process of its own, because these commands read their settings from the environment.
"""

import sys
from pathlib import Path

from schemas.errors import Conflict
from tallyhouse.cluster.provisioning import run_bootstrap, run_create_topic, run_migrate
from tallyhouse.local.cluster_folder import ClusterFolder
from tallyhouse.runtime.environment import process_environment, read_cluster_settings
from tallyhouse.runtime.exit_codes import run_with_exit_code


def prepare(folder: ClusterFolder) -> int:
    """Makes whatever is missing; returns the exit code. Idempotent."""
    run_create_topic()
    for _step in run_migrate():
        pass
    if read_cluster_settings(process_environment()).bootstrap_api_key is None:
        try:
            folder.write_key_file(run_bootstrap())
        except Conflict:
            return 0  # The ledger has keys: this is not its first start.
    return 0


if __name__ == "__main__":
    sys.exit(run_with_exit_code(lambda: prepare(ClusterFolder(Path(sys.argv[1])))))
