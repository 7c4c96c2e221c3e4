"""A microscope that writes a stack as it takes it: `python microscope.py FILE PLANES PAUSE_S`."""

import sys
import time

import numpy as np
import tifffile


def planes(count, pause_s):
    """Yield the planes of a stack, each after a pause; none is like another."""
    for number in range(count):
        time.sleep(pause_s)
        yield np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) + number


if __name__ == "__main__":
    path, count, pause_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    # The head is written first, then plane after plane; the OME-XML at last, near the front.
    with tifffile.TiffWriter(path, ome=True) as stack:
        stack.write(
            planes(count, pause_s),
            shape=(count, 64, 64),
            dtype=np.uint16,
            metadata={"axes": "ZYX", "Name": "A01"},
        )
