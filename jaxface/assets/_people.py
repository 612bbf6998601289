"""Who the faces are: MakeHuman's sliders, set so that a random person's face has human distances, and their PCA.

A person is the average adult, a mix of sex, age, ethnicity, weight and muscle, 170 sliders for details and asymmetry,
and a hundred bumps for what no slider says; all but the average made smooth (``SmoothField``). How far each slider
goes, on average and from person to person, is solved for: the mean of a distance is linear in the sliders' means, and
its variance is linear in their variances.
"""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import lsq_linear

from jaxface.assets._field import SmoothField
from jaxface.assets._makehuman import EXPRESSIONS, TARGETS, MakeHuman

DISTANCES = {
    "jaw width": (1, 17, 147.2, 7.2),
    "chin to nasion": (9, 28, 113.3, 6.3),
    "outer eye corners": (37, 46, 89.2, 5.0),
    "inner eye corners": (40, 43, 36.8, 3.3),
    "mouth width": (49, 55, 50.7, 3.9),
    "nose width": (32, 36, 25.0, 2.7),
    "nose length": (28, 34, 50.2, 3.1),
    "jaw 5-13": (5, 13, 114.4, 7.1),
}
"""Two points of the 68 (1-based), the mean and the standard deviation (mm) among 2,000 random ICT faces."""
LANDMARK_SPREAD = 4.4
"""Root mean square distance (mm) of a person's landmark from the mean person's, among the same faces."""

PARTED = 0.05
"""How much of jawOpen the average of MakeHuman's adults has: their lips do not meet."""
PEOPLE = 3000
COMPONENTS = 100
FOLDERS = ("nose", "mouth", "eyes", "head", "chin", "cheek", "forehead", "ears", "eyebrows", "neck", "asym")
LEFT_OUT = (
    "asymm-", "asym-top", "head-trans", "head-angle", "measure-neck", "neck-trans", "neck-scale-vert",
    "forehead-nubian",
)  # fmt: skip
"""They move the head on its neck, the body under it, or make an extraordinary skull."""
OPPOSITES = {
    "incr": "decr", "up": "down", "in": "out", "forward": "backward", "compress": "uncompress", "convex": "concave",
}  # fmt: skip
DETAIL, ASYMMETRY, FULL = 1.6, 0.4, 0.33
"""Before the distances are matched, one standard deviation of a slider moves no vertex farther than the first (mm), or
the second if it makes the face asymmetric, and the slider no farther than the third, of 1."""


@dataclass(frozen=True, eq=False)
class Sliders:
    """S sliders: ``up`` and ``down`` (S, V, 3) mm are what +1 and -1 add, ``reach`` (S,) a plausible deviation."""

    up: np.ndarray
    down: np.ndarray
    reach: np.ndarray

    @property
    def slope(self) -> np.ndarray:
        """(S, V, 3) mm a unit, either way."""
        return (self.up - self.down) / 2

    def displace(self, amounts: np.ndarray) -> np.ndarray:
        """Slider positions (n, S) to displacements (n, V, 3) mm."""
        positive, negative = np.maximum(amounts, 0), np.maximum(-amounts, 0)
        return np.tensordot(positive, self.up, 1) + np.tensordot(negative, self.down, 1)


def read_sliders(source: MakeHuman, smooth: SmoothField) -> Sliders:
    """MakeHuman's detail sliders, the two sides of the face together and, more weakly, against each other; bumps."""
    up, down = [], []
    for folder in FOLDERS:
        path = f"{TARGETS}{folder}/"
        targets = {n: source.target(path + n) for n in source.names(path) if not n.startswith(LEFT_OUT)}
        for name, target in targets.items():
            stem, _, end = name.rpartition("-")
            if end in OPPOSITES.values() or end == "r" or name.startswith("r-"):
                continue
            opposite = targets.get(f"{stem}-{OPPOSITES.get(end, 'r')}", np.zeros_like(target))
            if name.startswith("l-"):
                other, other_opposite = source.head.mirrored(target), source.head.mirrored(opposite)
                up += [target + other, target + other_opposite]
                down += [opposite + other_opposite, opposite + other]
            else:
                up.append(target)
                down.append(opposite)
    size = _size(source)
    up, down = smooth(np.array([*up, size])), smooth(np.array([*down, -size]))
    slope = (up - down) / 2
    odd = np.linalg.norm(slope - source.head.mirrored(slope), axis=(1, 2)) > np.linalg.norm(slope, axis=(1, 2))
    farthest = np.linalg.norm(np.concatenate([up, down], axis=1), axis=-1).max(axis=1)
    reach = np.minimum(FULL, np.where(odd, ASYMMETRY, DETAIL) / farthest)
    bumps = smooth.bumps()
    return Sliders(np.append(up, bumps, 0), np.append(down, -bumps, 0), np.append(reach, np.ones(len(bumps))))


def _size(source: MakeHuman) -> np.ndarray:
    """The head as a whole, a tenth larger."""
    return 0.1 * (source.head.vertices - source.head.vertices.mean(axis=0))


def sample_kinds(source: MakeHuman, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Sex, age, ethnicity, weight and muscle of a random population: weights (count, K) of targets (K, V, 3) mm."""
    sex = np.clip(rng.choice([0.1, 0.9], count) + 0.15 * rng.normal(size=count), 0, 1)
    age = rng.beta(1.0, 1.5, count)
    sexes, ages = {"female": 1 - sex, "male": sex}, {"young": 1 - age, "old": age}
    races = dict(zip(("african", "asian", "caucasian"), rng.dirichlet([0.5] * 3, count).T, strict=True))
    muscles, weights = (
        {f"min{kind}": np.maximum(-x, 0), f"average{kind}": 1 - abs(x), f"max{kind}": np.maximum(x, 0)}
        for kind in ("muscle", "weight")
        for x in [np.clip(0.35 * rng.normal(size=count), -1, 1)]
    )
    shares = {}
    for (of, is_sex), (at, is_age) in product(sexes.items(), ages.items()):
        for race, is_race in races.items():
            shares[f"{race}-{of}-{at}"] = is_sex * is_age * is_race
        for (muscle, is_muscle), (weight, is_weight) in product(muscles.items(), weights.items()):
            shares[f"universal-{of}-{at}-{muscle}-{weight}"] = is_sex * is_age * is_muscle * is_weight
    targets = [source.target(f"{TARGETS}macrodetails/{name}") for name in shares]
    return np.stack(list(shares.values()), axis=-1), np.array(targets)


@dataclass(frozen=True, eq=False)
class Population:
    """Random people: ``base`` (V, 3) mm, the average adult, plus ``kinds`` (n, K), of mean 0, of ``kind_targets``, plus
    sliders at ``noise`` (n, S) times ``spread`` (S,) around ``centre`` (S,). On the whole head, or on landmarks alone
    (V = 68)."""

    base: np.ndarray
    kinds: np.ndarray
    kind_targets: np.ndarray
    sliders: Sliders
    noise: np.ndarray
    centre: np.ndarray
    spread: np.ndarray

    @classmethod
    def draw(cls, source: MakeHuman, rng: np.random.Generator) -> "Population":
        kinds, targets = sample_kinds(source, rng, PEOPLE)
        base = source.head.vertices + np.tensordot(kinds.mean(axis=0), targets, 1)
        base = base - PARTED * source.target(EXPRESSIONS + "jawOpen")
        smooth = SmoothField(source.head, base)
        sliders = read_sliders(source, smooth)
        noise = rng.normal(size=(PEOPLE, len(sliders.reach)))
        return cls(base, kinds - kinds.mean(axis=0), smooth(targets), sliders, noise, 0 * sliders.reach, sliders.reach)

    def faces(self) -> np.ndarray:
        """(n, V, 3) mm."""
        amounts = self.centre + self.spread * self.noise
        return self.base + np.tensordot(self.kinds, self.kind_targets, 1) + self.sliders.displace(amounts)

    def at(self, embed) -> "Population":
        """The same people's landmarks; ``embed`` takes (..., V, 3) to (..., 68, 3) and is linear."""
        sliders = Sliders(embed(self.sliders.up), embed(self.sliders.down), self.sliders.reach)
        return replace(self, base=embed(self.base), kind_targets=embed(self.kind_targets), sliders=sliders)

    def matched(self, embed) -> "Population":
        """The same people with sliders set so that the eight distances have their human means and deviations."""
        landmarks = self.at(embed)
        for _ in range(8):
            landmarks = _match_once(landmarks)
        return replace(self, centre=landmarks.centre, spread=landmarks.spread)


def _match_once(people: Population) -> Population:
    """One linearised step: bounded ridge regression of the sliders' means, then of their variances."""
    faces = people.faces()
    mean = faces.mean(axis=0)
    measured = distances(faces)
    _, _, human_mean, human_deviation = np.array(list(DISTANCES.values())).T
    reach, slope = people.sliders.reach, people.sliders.slope
    step = reach[:, None] * (distances(mean + 0.01 * slope) - distances(mean[None])) / 0.01  # (S, 8) mm a reach

    now = people.centre / reach
    wanted = human_mean - measured.mean(axis=0) + now @ step
    centre = _ridge(step.T, wanted, human_deviation / 10, np.zeros_like(now), 1.5)

    own = np.append(step**2, reach[:, None] ** 2 * _spread(slope, mean), axis=1).T  # (9, S) mm^2 a squared reach
    total = np.append(measured.var(axis=0), _spread(faces - mean, mean).mean())
    now = (people.spread / reach) ** 2
    wanted = np.append(human_deviation, LANDMARK_SPREAD) ** 2 - total + own @ now
    squared = _ridge(own, wanted, 0.05 * np.append(human_deviation, LANDMARK_SPREAD) ** 2, np.ones_like(now), 9.0)
    return replace(people, centre=centre * reach, spread=np.sqrt(squared) * reach)


def _ridge(matrix, wanted, tolerance, habit, farthest):
    """x near ``habit`` and within ``farthest`` of zero with matrix x = wanted to about the tolerance."""
    rows = np.concatenate([matrix / tolerance[:, None], np.eye(len(habit))])
    low = np.where(habit > 0, 0.1, -farthest)
    return lsq_linear(rows, np.concatenate([wanted / tolerance, habit]), bounds=(low, farthest)).x


def _spread(moved: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Mean square (n, 1) mm^2 of landmark displacements (n, 68, 3), rigid motion of the face removed."""
    aligned = align(mean + 0.01 * moved, mean, np.ones(len(mean))) - mean
    return (aligned**2).sum(axis=-1).mean(axis=-1, keepdims=True) / 0.01**2


def distances(landmarks: np.ndarray) -> np.ndarray:
    """The eight distances (n, 8) mm between landmarks (n, 68, 3)."""
    first, second = np.array([pair[:2] for pair in DISTANCES.values()]).T - 1
    return np.linalg.norm(landmarks[:, first] - landmarks[:, second], axis=-1)


def align(points: np.ndarray, onto: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Points (n, V, 3), each moved rigidly so that its weighted (V,) vertices lie on those of ``onto`` (V, 3)."""
    weight = weight / weight.sum()
    centre = np.tensordot(points, weight, (1, 0))
    target = onto - weight @ onto
    left, _, right = np.linalg.svd(np.swapaxes(points, 1, 2) @ (weight[:, None] * target))
    return (points - centre[:, None]) @ (left @ right) + weight @ onto


def principal_components(faces: np.ndarray, mirrored) -> tuple[np.ndarray, np.ndarray]:
    """The mean (V, 3) and the components times their deviations (V, 3, COMPONENTS) of faces (n, V, 3) and their mirror
    images, which makes the mean symmetric and each component either symmetric or antisymmetric.

    A component's sign is the one that makes its largest displacement positive.
    """
    count = len(faces)
    reflected = mirrored(faces)
    even, odd = (faces + reflected) / 2, (faces - reflected) / 2
    mean = even.mean(axis=0)
    components, variances = [], []
    for part in (even - mean, odd):
        rows = part.reshape(count, -1)
        squared, vectors = eigh(rows @ rows.T, subset_by_index=(count - COMPONENTS, count - 1))
        components.append(vectors.T @ rows / np.sqrt(count))
        variances.append(squared)
    largest = np.argsort(-np.concatenate(variances))[:COMPONENTS]
    scaled = np.concatenate(components)[largest]
    scaled *= np.sign(scaled[np.arange(COMPONENTS), np.abs(scaled).argmax(axis=1)])[:, None]
    return mean, np.moveaxis(scaled.reshape(COMPONENTS, *mean.shape), 0, -1)
