"""`tallyhouse serve` as it runs under `ulimit -n`; the number is in the environment."""

import os
import resource
import runpy
import sys

FILES = "OPEN_FILES"

if __name__ == "__main__":
    number = int(os.environ[FILES])
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))
    sys.argv = ["tallyhouse", "serve"]
    runpy.run_module("tallyhouse", run_name="__main__")
