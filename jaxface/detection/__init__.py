from jaxface.detection.detect import detect as detect
from jaxface.detection.landmark_files import read_landmarks as read_landmarks
from jaxface.detection.landmark_files import write_landmarks as write_landmarks
from jaxface.detection.reading import read_image as read_image
from jaxface.detection.registry import NAMES as NAMES
from jaxface.detection.registry import Detector as Detector
