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
_ARITHMETIC = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: pc.divide}


def condition(text: str, columns: pa.Schema) -> pc.Expression:
    """An expression over the columns, read from Python's notation; nothing is executed.

    It takes columns of numbers and of text, constants, ``+ - * /`` in floating point, comparisons (chains such as
    ``30 < yaw_deg < 60`` too), ``and``, ``or``, ``not``, ``is None``, ``in (...)``, ``abs(number)``,
    ``startswith(text, "...")`` and ``contains(text, "...")``.

    Raises:
      ValueError: the text is something else, or names what is no column; the message says where.
    """
    try:
        return _expression(ast.parse(text.strip(), mode="eval").body, columns)
    except (SyntaxError, UnicodeError):
        raise ValueError(f"{text!r} is no condition, such as: yaw_deg > 60 and cost < 200") from None
    except (RecursionError, MemoryError):
        raise ValueError("the condition is nested too deeply; takes one such as: yaw_deg > 60 and cost < 200") from None


def _expression(tree: ast.expr, columns: pa.Schema) -> pc.Expression:
    scalars = [field.name for field in columns if not pa.types.is_nested(field.type)]

    def take(node: ast.expr):
        match node:
            case ast.Name(id=name) if name in scalars:
                return pc.field(name)
            case ast.Name(id=name):
                raise ValueError(f"{name} is not a column to select by; these are: {', '.join(scalars)}")
            case ast.Constant(value=bool() | int() | float() | str()):
                return pc.scalar(constant(node))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ~take(operand)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return pc.negate(take(operand))
            case ast.BoolOp(op=ast.And(), values=values):
                return reduce(operator.and_, map(take, values))
            case ast.BoolOp(op=ast.Or(), values=values):
                return reduce(operator.or_, map(take, values))
            case ast.BinOp(op=op, left=left, right=right) if type(op) in _ARITHMETIC:
                return _ARITHMETIC[type(op)](take(left) * 1.0, take(right))
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

    def constant(node: ast.expr) -> bool | float | str | None:
        try:
            match ast.literal_eval(node):
                case bool() | float() | str() | None as value:
                    return value
                case int() as value:
                    return float(value)
        except (ValueError, OverflowError):
            pass
        raise ValueError(f"{ast.unparse(node)!r} is no text and no number that 64 bits hold")

    def compare(op: ast.cmpop, left: ast.expr, right: ast.expr):
        match op, right:
            case ast.Is(), ast.Constant(value=None):
                return take(left).is_null()
            case ast.IsNot(), ast.Constant(value=None):
                return take(left).is_valid()
            case ast.In() | ast.NotIn(), ast.Tuple(elts=elements) | ast.List(elts=elements):
                inside = take(left).isin(pa.array(map(constant, elements)))
                return ~inside if isinstance(op, ast.NotIn) else inside
        if type(op) not in _COMPARISONS:
            raise ValueError(f"{ast.unparse(right)!r} is not taken after {type(op).__name__.lower()}")
        return _COMPARISONS[type(op)](take(left), take(right))

    return take(tree)
