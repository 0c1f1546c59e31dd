"""The same user without this product: opencv.py URL PER_SECOND WIDTH

OpenCV reads the camera itself, over TCP, and decodes every picture, as it must: PER_SECOND says how many are converted to BGR and taken; 0
for every one. WIDTH: what each is scaled to; 0 leaves it as it is. Decoding with one thread is what costs the least. Prints when it begins (ms
since the epoch), then a line for each picture: when it was there, its time in the stream in ms, and 0.
"""
import os
import sys
import time

os.environ['OPENCV_FFMPEG_CAPTURE_OPTIONS'] = 'rtsp_transport;tcp'

import cv2  # noqa: E402

url, per_second, width = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
cv2.setNumThreads(1)
print(time.time() * 1000)
capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
if not capture.isOpened():
    sys.exit(f'OpenCV cannot open {url}')
due = time.monotonic()
while capture.grab():
    if per_second:
        if time.monotonic() < due:
            continue
        due = max(due + 1 / per_second, time.monotonic())
    position_ms = capture.get(cv2.CAP_PROP_POS_MSEC)
    taken, picture = capture.retrieve()
    if not taken:
        continue
    if width:
        picture = cv2.resize(picture, (width, picture.shape[0] * width // picture.shape[1]))
    print(time.time() * 1000, position_ms, 0)
sys.exit('the camera has ended')
