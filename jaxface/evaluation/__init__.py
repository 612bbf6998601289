from jaxface.evaluation.faces import Face as Face
from jaxface.evaluation.faces import read_face as read_face
from jaxface.evaluation.protocols import PROTOCOLS as PROTOCOLS
from jaxface.evaluation.protocols import Measured as Measured
