"""What becomes of an error: a line for each mistake that helps, and an exit code."""

from collections.abc import Callable

from schemas.errors import Misconfigured, TallyhouseError
from tallyhouse.cli.printing import print_error
from tallyhouse.runtime.exit_codes import FAILED, MISCONFIGURED


def run_with_exit_code(work: Callable[[], int]) -> int:
    """That of the work, or that of the error which ended it, which is told first."""
    try:
        return work()
    except Misconfigured as error:
        for mistake in error.errors:
            print_error(mistake)
        return MISCONFIGURED
    except TallyhouseError as error:
        print_error(str(error))
        return FAILED
