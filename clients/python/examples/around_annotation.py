"""Annotates a change in the picture, and reads the two seconds before it from the buffer: around_annotation.py CAMERA

The gateway: CHRYSALIS_ADDRESS.
"""

import sys

import numpy as np

from chrysalis_edge import Edge

camera = Edge().camera(sys.argv[1])
before = None
for frame in camera.frames(size=(160, 90), format="gray", fps=5):
    now = frame.image.astype(np.int16)
    if before is not None and np.abs(now - before).mean() > 0.5:
        frame.annotate("change")
        past = list(camera.past(frame.time - 2, frame.time, size=(640, 0)))
        print(f"{frame.id}: {len(past)} frames up to {past[-1].id}", flush=True)
        break
    before = now
