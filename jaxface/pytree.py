"""Frozen dataclasses that JAX can take apart and put together."""

from dataclasses import dataclass
from typing import dataclass_transform

import jax


@dataclass_transform(eq_default=False, frozen_default=True)
def pytree(cls: type) -> type:
    """Make a class a frozen dataclass and a pytree; fields with ``metadata={"static": True}`` are static under jit.

    Where type checks are switched on they leave out the constructor, since JAX calls it with placeholders.
    """
    cls = jax.tree_util.register_dataclass(dataclass(frozen=True, eq=False)(cls))
    cls.__no_type_check__ = True
    return cls
