"""What options take, said here once more so that help and shell completion load no JAX: ``tests/test_cli_help.py``
holds it to what the rooms have."""

from typing import Literal

VARIANTS = ("auto", "2d", "2d+3d", "2d+3d+w", "2d+3d+p+w", "calibrated")
CONTOURS = ("replace", "march")
LOSSES = ("squared", "robust")
SOLVERS = ("structured", "jaxopt", "optax")
DETECTORS = ("mediapipe", "mediapipe-averaged", "dlib", "dlib+mediapipe", "fan")
CALIBRATED = DETECTORS[:2]
"""Those whose calibration for the embedded model comes along."""
FEWEST_CALIBRATED = 100
"""A calibration that is kept is measured on so many faces or more."""
Which = Literal["all", "largest"]
FACE_FILES = ("obj", "ply", "glb", "overlay", "npz", "json", "report")
USUAL_FACE_FILES = FACE_FILES[:-1]
MESHES = FACE_FILES[:3]
VIDEO_FILES = ("overlay", "parquet", "glb")
DETECTION_FILES = ("picture", "json", "npz")
LANDMARK_SUFFIXES = (".pts", ".json", ".npz", ".npy")
PROTOCOLS = ("micc85", "micc95", "now", "nonrigid", "aflw2000")
SMOOTHNESS = 5.5
