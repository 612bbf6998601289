from jaxface.fitting.api import cost_history as cost_history
from jaxface.fitting.api import fit as fit
from jaxface.fitting.api import fit_batch as fit_batch
from jaxface.fitting.api import vertices as vertices
from jaxface.fitting.options import FitOptions as FitOptions
from jaxface.fitting.sequence import fit_sequence as fit_sequence
from jaxface.fitting.uncertainty import Uncertainty as Uncertainty
from jaxface.fitting.uncertainty import uncertainty as uncertainty
