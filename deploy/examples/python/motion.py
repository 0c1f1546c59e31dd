"""Looks at a camera as it is now, and annotates where something moves."""
import time
import uuid

import cv2
import grpc
from video_streaming_pb2 import AnnotateRequest, BoudingBox

from edge import arguments, connect, latest, picture


def moved(before, now):
    """The box around what differs: x, y, width, height; None where next to nothing does."""
    _, mask = cv2.threshold(cv2.absdiff(before, now), 25, 255, cv2.THRESH_BINARY)
    return cv2.boundingRect(mask) if cv2.countNonZero(mask) > mask.size / 1000 else None


def annotate(stub, request):
    """Tries until it is stored. Under its one key it is stored once, however often it was sent."""
    key = str(uuid.uuid4())
    while True:
        try:
            return stub.Annotate(request, metadata=[("idempotency-key", key)], timeout=40)
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise
            time.sleep(1)


def main():
    parser = arguments(__doc__)
    parser.add_argument("--frames", type=int, help="stop after so many")
    options = parser.parse_args()
    stub = connect(options.address)
    before, annotated_at = None, 0
    for count, frame in enumerate(latest(stub, options.device), start=1):
        gray = cv2.GaussianBlur(cv2.cvtColor(picture(frame), cv2.COLOR_BGR2GRAY), (21, 21), 0)
        box = None if before is None or before.shape != gray.shape else moved(before, gray)
        before = gray
        if box and frame.timestamp - annotated_at >= 1000:  # one a second is enough
            x, y, width, height = box
            annotate(stub, AnnotateRequest(
                device_name=options.device, type="moving", start_timestamp=frame.timestamp,
                object_bouding_box=BoudingBox(left=x, top=y, width=width, height=height),
                width=frame.width, height=frame.height, is_keyframe=frame.is_keyframe,
            ))
            annotated_at = frame.timestamp
            print(f"{frame.timestamp} moving: {width}x{height} at {x},{y}", flush=True)
        if count == options.frames:
            break


if __name__ == "__main__":
    main()
