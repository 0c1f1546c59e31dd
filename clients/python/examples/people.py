"""Finds people with OpenCV's HOG detector and stores each as an annotation: people.py CAMERA

pip install "chrysalis-edge[cv2]". The gateway: CHRYSALIS_ADDRESS.
"""

import sys

import cv2

from chrysalis_edge import Edge

detector = cv2.HOGDescriptor()
detector.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())
for frame in Edge().camera(sys.argv[1]).frames(size=(640, 0), fps=2, max_age=1):
    boxes, scores = detector.detectMultiScale(frame.image, winStride=(8, 8))
    for (left, top, width, height), score in zip(boxes, scores):
        frame.annotate("person", (left, top, left + width, top + height), confidence=min(1.0, float(score)))
    print(f"{frame.time:.3f}: {len(boxes)} people", flush=True)
