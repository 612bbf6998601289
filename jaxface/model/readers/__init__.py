from jaxface.model.readers.checks import ModelFileError as ModelFileError
from jaxface.model.readers.recognition import read_model as read_model
