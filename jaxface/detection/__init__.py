from jaxface.detection.detect import detect as detect
from jaxface.detection.reading import read_image as read_image
