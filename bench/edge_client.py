"""The Python client: edge_client.py PORT DEVICE DECODE, which is gateway or local. Prints what client.py prints; the place of pts is 0."""

import sys
import time

from chrysalis_edge import Edge

port, device, decode = sys.argv[1:]
print(time.time() * 1000)
for frame in Edge(f"127.0.0.1:{port}").camera(device).frames(decode=decode, newest=False):
    print(time.time() * 1000, frame.time_ms, 0)
