"""Conditions on rows, as people write them, for pyarrow: ``yaw_deg > 60 and error is None``."""

import ast
import operator
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

_COMPARISONS = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_ARITHMETIC = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def condition(text: str, columns: pa.Schema) -> pc.Expression:
    """An expression over the columns, read from Python's notation; nothing is executed.

    It takes columns of numbers and of text, constants, ``+ - * /``, comparisons (chains such as ``30 < yaw_deg < 60``
    too), ``and``, ``or``, ``not``, ``is None``, ``in (...)``, ``abs(number)``, ``startswith(text, "...")`` and
    ``contains(text, "...")``.

    Raises:
      ValueError: the text is something else, or names what is no column; the message says where.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        raise ValueError(f"{text!r} is no condition, such as: yaw_deg > 60 and cost < 200") from None
    scalars = [field.name for field in columns if not pa.types.is_nested(field.type)]

    def take(node: ast.expr):
        match node:
            case ast.Name(id=name) if name in scalars:
                return pc.field(name)
            case ast.Name(id=name):
                raise ValueError(f"{name} is not a column to select by; these are: {', '.join(scalars)}")
            case ast.Constant(value=bool() | int() | float() | str() as value):
                return pc.scalar(value)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ~take(operand)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return pc.negate(take(operand))
            case ast.BoolOp(op=ast.And(), values=values):
                return reduce(operator.and_, map(take, values))
            case ast.BoolOp(op=ast.Or(), values=values):
                return reduce(operator.or_, map(take, values))
            case ast.BinOp(op=op, left=left, right=right) if type(op) in _ARITHMETIC:
                return _ARITHMETIC[type(op)](take(left), take(right))
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                sides = [left, *comparators]
                pairs = zip(ops, sides[:-1], sides[1:], strict=True)
                return reduce(operator.and_, (compare(*pair) for pair in pairs))
            case ast.Call(func=ast.Name(id="abs"), args=[first]):
                return pc.abs(take(first))
            case ast.Call(func=ast.Name(id="startswith"), args=[first, ast.Constant(value=str() as prefix)]):
                return pc.starts_with(take(first), prefix)
            case ast.Call(func=ast.Name(id="contains"), args=[first, ast.Constant(value=str() as part)]):
                return pc.match_substring(take(first), part)
        raise ValueError(f"{ast.unparse(node)!r} is not taken in a condition, such as: yaw_deg > 60 and cost < 200")

    def compare(op: ast.cmpop, left: ast.expr, right: ast.expr):
        match op, right:
            case ast.Is(), ast.Constant(value=None):
                return take(left).is_null()
            case ast.IsNot(), ast.Constant(value=None):
                return take(left).is_valid()
            case ast.In() | ast.NotIn(), ast.Tuple(elts=elements) | ast.List(elts=elements):
                inside = take(left).isin([ast.literal_eval(element) for element in elements])
                return ~inside if isinstance(op, ast.NotIn) else inside
        if type(op) not in _COMPARISONS:
            raise ValueError(f"{ast.unparse(right)!r} is not taken after {type(op).__name__.lower()}")
        return _COMPARISONS[type(op)](take(left), take(right))

    return take(tree)
