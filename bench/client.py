"""A client as users write it: client.py PORT DEVICE live ASK_AT_MS PER_SECOND
                         client.py PORT DEVICE buffered FROM_MS TO_MS FRAMES_MAX

Prints a line for each frame: when it came (ms since the epoch), its timestamp, its pts; and before them one with when the first request was sent.
live: a request for each frame in one call, until it is ended; the first at ASK_AT_MS, or at once; PER_SECOND 0 takes every frame. Each
becomes an array of pixels. buffered: FRAMES_MAX 0 reads to the end.
"""
import queue
import sys
import time

import grpc
import numpy
import video_streaming_pb2 as pb
import video_streaming_pb2_grpc as rpc

ANSWER_S = 30


def live(stub, device, ask_at_ms, per_second):
    time.sleep(max(0, ask_at_ms / 1000 - time.time()))
    asking = queue.SimpleQueue()
    request = pb.VideoFrameRequest(device_id=device)
    print(time.time() * 1000)
    asking.put(request)
    due = time.monotonic()
    for frame in stub.VideoLatestImage(iter(asking.get, None)):
        if frame.data:
            report(frame)
            if per_second:
                due = max(due + 1 / per_second, time.monotonic())
                time.sleep(max(0, due - time.monotonic()))
        asking.put(request)


def buffered(stub, device, from_ms, to_ms, frames_max):
    print(time.time() * 1000)
    frames = stub.VideoBufferedImage(pb.VideoFrameBufferedRequest(device_id=device, timestamp_from=from_ms, timestamp_to=to_ms))
    for count, frame in enumerate(frames, 1):
        report(frame)
        if count == frames_max:
            frames.cancel()
            break


def report(frame):
    numpy.frombuffer(frame.data, numpy.uint8).reshape([dim.size for dim in frame.shape.dim])  # what a model would be given
    print(time.time() * 1000, frame.timestamp, frame.pts)


def main():
    port, device, what, *more = sys.argv[1:]
    options = [('grpc.max_receive_message_length', 64 << 20)]
    with grpc.insecure_channel(f'127.0.0.1:{port}', options) as channel:
        grpc.channel_ready_future(channel).result(ANSWER_S)
        stub = rpc.ImageStub(channel)
        read = live if what == 'live' else buffered
        read(stub, device, *map(int, more))


main()
