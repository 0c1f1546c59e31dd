"""Frames as tensors of PyTorch: torch_frames.py CAMERA

pip install "chrysalis-edge[torch]". The gateway: CHRYSALIS_ADDRESS.
"""

import sys
import warnings

import torch

from chrysalis_edge import Edge

# Nothing here writes to the frame's memory, which PyTorch warns of.
warnings.filterwarnings("ignore", "The given NumPy array is not writable")

for frame in Edge().camera(sys.argv[1]).frames(size=(224, 224), fit="crop", format="rgb", fps=5):
    pixels = torch.from_numpy(frame.image)  # the message's memory, without a copy
    batch = pixels.permute(2, 0, 1).unsqueeze(0).float() / 255
    print(f"{frame.time:.3f}: {tuple(batch.shape)}, mean {batch.mean():.3f}", flush=True)
