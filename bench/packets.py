"""A client that decodes by itself: packets.py PORT CAMERA. PyAV decodes, with one thread, and OpenCV converts to BGR.

Prints when it asked (ms since the epoch), then a line for each frame: when it was there, its capture time, 0, the bytes of its packet, and those
of the message that brought it, with what gRPC and HTTP/2 put around it.
"""
import sys
import time

import av
import cv2
import frames_pb2 as pb
import frames_pb2_grpc as rpc
import grpc
import numpy

ANSWER_S = 30
cv2.setNumThreads(1)


def sent(event):
    """gRPC has five bytes in front of a message; HTTP/2 nine in front of each frame, of at most 16 KiB."""
    size = 5 + event.ByteSize()
    return size + 9 * -(-size // 16384)


def decoder_of(codec):
    context = av.CodecContext.create(codec.name, 'r')
    context.thread_count = 1
    if codec.extradata:
        context.extradata = codec.extradata
    return context


def yuv(frame):
    """The planes of 4:2:0 as OpenCV takes them, without padding: one copy."""
    height, width = frame.height, frame.width
    image = numpy.empty((height * 3 // 2, width), numpy.uint8)
    image[:height] = numpy.frombuffer(frame.planes[0], numpy.uint8).reshape(-1, frame.planes[0].line_size)[:height, :width]
    chroma = image[height:].reshape(2, height // 2, width // 2)
    for i in (0, 1):
        plane = frame.planes[1 + i]
        chroma[i] = numpy.frombuffer(plane, numpy.uint8).reshape(-1, plane.line_size)[: height // 2, : width // 2]
    return image


port, camera = sys.argv[1], sys.argv[2]
with grpc.insecure_channel(f'127.0.0.1:{port}', [('grpc.max_receive_message_length', 64 << 20)]) as channel:
    grpc.channel_ready_future(channel).result(ANSWER_S)
    print(time.time() * 1000)
    decoder = None
    for event in rpc.FramesServiceStub(channel).Packets(pb.PacketsRequest(camera=camera)):
        if event.HasField('codec'):
            decoder = decoder_of(event.codec)
        elif event.HasField('packet') and decoder is not None:
            packet = event.packet
            for frame in decoder.decode(av.Packet(packet.data)):
                cv2.cvtColor(yuv(frame), cv2.COLOR_YUV2BGR_I420)
                print(time.time() * 1000, packet.capture_time_ms, 0, len(packet.data), sent(event))
