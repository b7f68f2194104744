"""Types of the numpy arrays that several parts pass to each other."""

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
"""For each row whether it is chosen."""

Indices = npt.NDArray[np.intp]
"""Row numbers, counted from 0."""
