"""Frames of many cameras as batches for one model: batches.py [SELECTOR], such as "site=shop". No camera delays the others.

The gateway: CHRYSALIS_ADDRESS.
"""

import sys

import numpy as np

from chrysalis_edge import Edge

selector = sys.argv[1] if len(sys.argv) > 1 else ""
for frames in Edge().batches(selector, size=8, timeout=0.1, max_age=1, fps=5, frame_size=(320, 320), fit="letterbox", format="rgb"):
    batch = np.stack([frame.image for frame in frames])
    brightness = batch.mean(axis=(1, 2, 3))
    for frame, value in zip(frames, brightness):
        print(f"{frame.camera} {batch.shape}: brightness {value:.0f}", flush=True)
