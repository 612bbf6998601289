from jaxface.model.morphable import Embedding as Embedding
from jaxface.model.morphable import MorphableModel as MorphableModel
from jaxface.model.store import convert_model as convert_model
from jaxface.model.store import load_model as load_model
from jaxface.model.store import save_model as save_model
