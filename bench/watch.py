"""A client of frames/v1 as users write it, with stock grpcio: watch.py PORT WISH, a Wish as JSON.

Prints when the wish was sent (ms since the epoch), then a line for each frame, which becomes an array: when it came, its capture time, 0, its bytes.
"""
import queue
import sys
import time

import frames_pb2 as pb
import frames_pb2_grpc as rpc
import grpc
import numpy
from google.protobuf import json_format

ANSWER_S = 30
CREDIT = 8

port, wish = sys.argv[1], json_format.Parse(sys.argv[2], pb.Wish())
options = [('grpc.max_receive_message_length', 64 << 20)]
with grpc.insecure_channel(f'127.0.0.1:{port}', options) as channel:
    grpc.channel_ready_future(channel).result(ANSWER_S)
    asking = queue.SimpleQueue()
    print(time.time() * 1000)
    asking.put(pb.WatchRequest(wish=wish, credit=CREDIT))
    used = 0
    for event in rpc.FramesServiceStub(channel).Watch(iter(asking.get, None)):
        if not event.HasField('frame'):
            continue
        frame = event.frame
        image = numpy.frombuffer(frame.data, numpy.uint8)
        if frame.format in (pb.PIXEL_FORMAT_BGR24, pb.PIXEL_FORMAT_RGB24):
            image.reshape(frame.height, frame.width, 3)
        print(time.time() * 1000, frame.capture_time_ms, 0, len(frame.data))
        used += 1
        if used == CREDIT // 2:
            asking.put(pb.WatchRequest(credit=used))
            used = 0
