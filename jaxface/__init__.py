"""One photograph becomes a 3D face: a JAX-compiled solver that fits a 3D morphable model to 2D and 3D landmarks.

The names are those of ``__init__.pyi``; each is imported when it is first used, and JAX with it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
