"""What every client needs: a connection, and frames as OpenCV has pictures."""
import argparse

import grpc
import numpy as np
from video_streaming_pb2 import VideoFrameRequest
from video_streaming_pb2_grpc import ImageStub


def arguments(about):
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("device", help="a camera's name, or namespace/name")
    parser.add_argument("--address", default="127.0.0.1:50001")
    return parser


def connect(address):
    # A picture of 3840 x 2160 has 25 MB; gRPC takes 4 unless it is told otherwise.
    return ImageStub(grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", 32 * 2**20)]))


def latest(stub, device, keyframes_only=False):
    """New frames, without end: each once and in order; a reader slower than the camera goes on at the newest."""
    request = VideoFrameRequest(device_id=device, key_frame_only=keyframes_only)
    while True:
        # Comes back at once when there is a new frame, else within 48 ms, without a picture.
        for frame in stub.VideoLatestImage(iter([request])):
            if frame.data:
                yield frame


def picture(frame):
    """Height x width x 3, blue first."""
    return np.frombuffer(frame.data, np.uint8).reshape([dim.size for dim in frame.shape.dim])
