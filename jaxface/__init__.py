"""One photograph becomes a 3D face: a JAX-compiled solver that fits a 3D morphable model to 2D and 3D landmarks."""

from jaxface.detection import detect as detect
from jaxface.detection import read_image as read_image
from jaxface.export import save as save
from jaxface.fitting import FitOptions as FitOptions
from jaxface.fitting import Uncertainty as Uncertainty
from jaxface.fitting import fit as fit
from jaxface.fitting import fit_batch as fit_batch
from jaxface.fitting import fit_sequence as fit_sequence
from jaxface.fitting import uncertainty as uncertainty
from jaxface.fitting import vertices as vertices
from jaxface.model import MorphableModel as MorphableModel
from jaxface.model import load_model as load_model
from jaxface.types import FitResult as FitResult
from jaxface.types import Landmarks as Landmarks
from jaxface.types import Pose as Pose
from jaxface.types import Status as Status
