"""Looks at what a camera saw in the last seconds, every frame of it."""
import cv2
from video_streaming_pb2 import SystemTimeRequest, VideoFrameBufferedRequest

from edge import arguments, connect, picture


def main():
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--save", help="the brightest picture, as this file")
    options = parser.parse_args()
    stub = connect(options.address)
    now = stub.SystemTime(SystemTimeRequest()).current_time  # the clock by which frames are stamped
    past = VideoFrameBufferedRequest(
        device_id=options.device, timestamp_from=int(now - options.seconds * 1000), timestamp_to=now
    )
    times, brightest = [], (-1, None)
    # Decoded as they are read: a slow reader makes no other wait.
    for frame in stub.VideoBufferedImage(past):
        image = picture(frame)
        times.append(frame.timestamp)
        brightest = max(brightest, (image.mean(), image), key=lambda pair: pair[0])
    if not times:
        raise SystemExit("nothing is stored of that time")
    print(f"{len(times)} frames, from {now - times[0]} to {now - times[-1]} ms ago")
    if options.save:
        cv2.imwrite(options.save, brightest[1])


if __name__ == "__main__":
    main()
