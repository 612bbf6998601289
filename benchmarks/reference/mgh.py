"""The 18 least-squares problems of Moré, Garbow and Hillstrom, and their known minima.

J. J. Moré, B. S. Garbow, K. E. Hillstrom, "Testing unconstrained optimization software", ACM TOMS 7 (1981), 17-41:
those that MINPACK tests its least-squares solvers on, from the standard start and, for some as there, from 10 and 100
times it. A local minimum that is known counts as an answer, also where it lies at infinity.
"""

import jax.numpy as jnp
import numpy as np

from benchmarks.reference.problems import Problem

_BARD = [0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39]
_KOWALIK_U = [4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625]
_KOWALIK_Y = [0.1957, 0.1947, 0.1735, 0.16, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246]
_MEYER = [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872]
# fmt: off
_OSBORNE1 = [
    0.844, 0.908, 0.932, 0.936, 0.925, 0.908, 0.881, 0.850, 0.818, 0.784, 0.751, 0.718, 0.685, 0.658, 0.628, 0.603,
    0.580, 0.558, 0.538, 0.522, 0.506, 0.490, 0.478, 0.467, 0.457, 0.448, 0.438, 0.431, 0.424, 0.420, 0.414, 0.411,
    0.406,
]
_OSBORNE2 = [
    1.366, 1.191, 1.112, 1.013, 0.991, 0.885, 0.831, 0.847, 0.786, 0.725, 0.746, 0.679, 0.608, 0.655, 0.616, 0.606,
    0.602, 0.626, 0.651, 0.724, 0.649, 0.649, 0.694, 0.644, 0.624, 0.661, 0.612, 0.558, 0.533, 0.495, 0.500, 0.423,
    0.395, 0.375, 0.372, 0.391, 0.396, 0.405, 0.428, 0.429, 0.523, 0.562, 0.607, 0.653, 0.672, 0.708, 0.633, 0.668,
    0.645, 0.632, 0.591, 0.559, 0.597, 0.625, 0.739, 0.710, 0.729, 0.720, 0.636, 0.581, 0.428, 0.292, 0.162, 0.098,
    0.054,
]
# fmt: on


def _counting(m, first=1):
    return np.arange(first, first + m)


def _full_rank(x, m=10):
    return jnp.concatenate([x, jnp.zeros(m - x.size)]) - 2 * jnp.sum(x) / m - 1


def _rank_one(x, m=10):
    return _counting(m) * (_counting(x.size) @ x) - 1


def _rank_one_with_zeros(x, m=10):
    rows = np.append(_counting(m - 1, 0), 0)
    return rows * (_counting(x.size)[1:-1] @ x[1:-1]) - 1


def _rosenbrock(x):
    return jnp.stack([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def _helical_valley(x):
    turn = jnp.arctan2(x[1], x[0]) / (2 * jnp.pi)
    turn = jnp.where(turn < -0.25, turn + 1, turn)  # the paper's branch: from -1/4 to 3/4
    return jnp.stack([10 * (x[2] - 10 * turn), 10 * (jnp.hypot(x[0], x[1]) - 1), x[2]])


def _powell_singular(x):
    return jnp.stack([x[0] + 10 * x[1], 5**0.5 * (x[2] - x[3]), (x[1] - 2 * x[2]) ** 2, 10**0.5 * (x[0] - x[3]) ** 2])


def _freudenstein_roth(x):
    return jnp.stack([x[0] - 13 + ((5 - x[1]) * x[1] - 2) * x[1], x[0] - 29 + ((x[1] + 1) * x[1] - 14) * x[1]])


def _bard(x):
    u = _counting(15)
    return np.array(_BARD) - x[0] - u / (x[1] * (16 - u) + x[2] * np.minimum(u, 16 - u))


def _kowalik_osborne(x):
    u = np.array(_KOWALIK_U)
    return np.array(_KOWALIK_Y) - x[0] * u * (u + x[1]) / (u * (u + x[2]) + x[3])


def _meyer(x):
    return x[0] * jnp.exp(x[1] / (45 + 5 * _counting(16) + x[2])) - np.array(_MEYER, float)


def _watson(x):
    t, powers = _counting(29) / 29, np.arange(x.size)
    slopes = powers[1:] * t[:, None] ** powers[:-1]
    rest = jnp.stack([x[0], x[1] - x[0] ** 2 - 1])
    return jnp.concatenate([slopes @ x[1:] - (t[:, None] ** powers @ x) ** 2 - 1, rest])


def _box(x):
    t = _counting(10) / 10
    return jnp.exp(-t * x[0]) - jnp.exp(-t * x[1]) - x[2] * (np.exp(-t) - np.exp(-10 * t))


def _jennrich_sampson(x):
    i = _counting(10)
    return 2 + 2 * i - jnp.exp(i * x[0]) - jnp.exp(i * x[1])


def _brown_dennis(x):
    t = _counting(20) / 5
    return (x[0] + t * x[1] - np.exp(t)) ** 2 + (x[2] + x[3] * np.sin(t) - np.cos(t)) ** 2


def _chebyquad(x):
    """Means of the shifted Chebyshev polynomials less their integrals over [0, 1]."""
    before, now, rows = jnp.ones_like(x), 2 * x - 1, []
    for i in range(1, x.size + 1):
        rows.append(jnp.mean(now) + (0 if i % 2 else 1 / (i**2 - 1)))
        before, now = now, 2 * (2 * x - 1) * now - before
    return jnp.stack(rows)


def _brown_almost_linear(x):
    return jnp.append(x[:-1] + jnp.sum(x) - (x.size + 1), jnp.prod(x) - 1)


def _osborne1(x):
    t = 10.0 * _counting(33, 0)
    return np.array(_OSBORNE1) - (x[0] + x[1] * jnp.exp(-t * x[3]) + x[2] * jnp.exp(-t * x[4]))


def _osborne2(x):
    t = _counting(65, 0) / 10
    peak = lambda height, width, centre: height * jnp.exp(-((t - centre) ** 2) * width)
    peaks = peak(x[1], x[5], x[8]) + peak(x[2], x[6], x[9]) + peak(x[3], x[7], x[10])
    return np.array(_OSBORNE2) - (x[0] * jnp.exp(-t * x[4]) + peaks)


def _spread(n):
    return _counting(n) / (n + 1)


#  name, residuals, standard start, times it, sums of squares at the minima
_TABLE = [
    ("Linear, full rank", _full_rank, np.ones(5), (1,), (5,)),
    ("Linear, rank 1", _rank_one, np.ones(5), (1,), (15 / 7,)),
    ("Linear, rank 1, zeros", _rank_one_with_zeros, np.ones(5), (1,), (62 / 17,)),
    ("Rosenbrock", _rosenbrock, [-1.2, 1], (1, 10, 100), (0,)),
    ("Helical valley", _helical_valley, [-1, 0, 0], (1, 10, 100), (0,)),
    ("Powell singular", _powell_singular, [3, -1, 0, 1], (1, 10, 100), (0,)),
    ("Freudenstein-Roth", _freudenstein_roth, [0.5, -2], (1, 10, 100), (0, 48.98425)),
    ("Bard", _bard, [1, 1, 1], (1, 10, 100), (8.214877e-3, 17.42869)),
    ("Kowalik-Osborne", _kowalik_osborne, [0.25, 0.39, 0.415, 0.39], (1, 10, 100), (3.075056e-4, 1.027343e-3)),
    ("Meyer", _meyer, [0.02, 4000, 250], (1, 10), (87.94586,)),
    ("Watson 6", _watson, np.zeros(6), (1,), (2.287670e-3,)),
    ("Watson 9", _watson, np.zeros(9), (1,), (1.399760e-6,)),
    ("Watson 12", _watson, np.zeros(12), (1,), (4.722381e-10,)),
    ("Box 3D", _box, [0, 10, 20], (1,), (0,)),
    ("Jennrich-Sampson", _jennrich_sampson, [0.3, 0.4], (1,), (124.3622,)),
    ("Brown-Dennis", _brown_dennis, [25, 5, -5, -1], (1, 10, 100), (85822.20,)),
    ("Chebyquad 8", _chebyquad, _spread(8), (1, 10, 100), (3.516874e-3,)),
    ("Chebyquad 9", _chebyquad, _spread(9), (1,), (0,)),
    ("Chebyquad 10", _chebyquad, _spread(10), (1,), (4.772714e-3, 6.503955e-3)),
    ("Brown almost-linear", _brown_almost_linear, np.full(10, 0.5), (1, 10, 100), (0, 1)),
    ("Osborne 1", _osborne1, [0.5, 1.5, -1, 0.01, 0.02], (1,), (5.464895e-5,)),
    ("Osborne 2", _osborne2, [1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5], (1, 10), (4.013774e-2,)),
]


def problems() -> list[Problem]:
    return [
        Problem(name, residual, np.outer(factors, np.asarray(start, float)), minima=minima)
        for name, residual, start, factors, minima in _TABLE
    ]
