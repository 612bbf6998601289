"""One person in many pictures: the joint minimum, what photographs share and what they do not, and steady videos."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxface
from jaxface import FitOptions, Landmarks, Status, camera
from jaxface.energies import Target
from jaxface.fitting.chain import solve_chain
from jaxface.fitting.sequence import SMOOTHNESS
from jaxface.fitting.shared_shape import SHARED_ERROR, solve_shapes

pytestmark = pytest.mark.usefixtures("run_once")

YAWS = (-50, -30, -10, 0, 10, 30, 50, 20)


@pytest.fixture(scope="module")
def pictures(small):
    """``pictures(count, noise_mm, same_pose)``: one person's landmarks (count, 68, ·), and the truth."""

    def make(count=6, noise_mm=0.0, same_pose=False, seed=0, dtype=np.float32):
        rng = np.random.default_rng(seed)
        identity = rng.normal(size=8)
        expression = rng.uniform(0.0, 0.6, size=(1 if same_pose else count, 6)) + np.zeros((count, 1))
        yaw = np.full(count, 15.0) if same_pose else np.resize(YAWS, count)
        rotation = camera.rotation_from_euler(jnp.stack([jnp.zeros(count), jnp.array(yaw, float), jnp.zeros(count)], 1))
        mesh = np.asarray(small.mean, np.float64) + small.identity @ identity
        mesh = mesh + np.einsum("vce,fe->fvc", small.expression, expression)
        at = small.landmarks["ibug68"]
        corners = mesh[:, np.asarray(small.triangles)[np.asarray(at.triangle)]]
        points = np.einsum("lk,flkc->flc", np.asarray(at.barycentric, np.float64), corners)
        xyz = 3.0 * np.einsum("fij,flj->fli", np.asarray(rotation, np.float64), points) + (320.0, 240.0, 0.0)
        xy = xyz[..., :2] + 3 * noise_mm * rng.normal(size=xyz[..., :2].shape)
        xyz = xyz + 3 * noise_mm * rng.normal(size=xyz.shape)
        truth = dict(identity=identity, expression=expression, rotation=np.asarray(rotation))
        return Landmarks(xy.astype(dtype), xyz.astype(dtype)), truth

    return make


def at(result, index):
    return jax.tree.map(lambda leaf: leaf[index], result)


def each_alone(model, landmarks):
    fits = [jaxface.fit(model, at(landmarks, index)) for index in range(len(landmarks.xy))]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *fits)


class TestChain:
    @pytest.mark.parametrize("size, columns", [(1, 2), (4, 1), (6, 3)])
    def test_is_the_dense_solution(self, x64, size, columns):
        rng = np.random.default_rng(size)
        frames = 7
        roots, tie_root = rng.normal(size=(frames, size, size + 2)), rng.normal(size=(size, size))
        blocks, tie = roots @ roots.swapaxes(1, 2), tie_root @ tie_root.T
        linked = np.array([1.0, 1, 0, 1, 1, 0.5, 1])  # what the first is tied to there is not
        right = rng.normal(size=(frames, size, columns))
        difference = np.eye(frames) - np.eye(frames, k=-1)
        coupling = difference.T @ np.diag([0.0, *linked[1:]]) @ difference
        dense = np.kron(coupling, tie)
        for frame, block in enumerate(blocks):
            part = slice(frame * size, (frame + 1) * size)
            dense[part, part] += block
        expected = np.linalg.solve(dense, right.reshape(-1, columns)).reshape(right.shape)
        np.testing.assert_allclose(solve_chain(*map(jnp.asarray, (blocks, tie, linked, right))), expected, rtol=1e-8)


class TestShapes:
    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("smoothness", [0.0, 5.0])
    def test_are_the_minimum_of_the_dense_joint_problem(self, x64, small, pictures, weighted, smoothness):
        """Residuals and Jacobian of all pictures in one matrix, with every translation an unknown."""
        frames, rng = 5, np.random.default_rng(3)
        _, truth = pictures(frames)
        model = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), small.at_landmarks("ibug68"))
        basis, mean = np.asarray(model.basis), np.asarray(model.mean)
        identity_size, size = model.identity_size, basis.shape[-1]
        rotation, scale = truth["rotation"].astype(float), rng.uniform(0.9, 1.1, frames)
        present, linked = np.array([1.0, 1, 0, 1, 1]), np.array([0.0, 1, 0, 0, 1])
        axes = np.stack([(both, both, depth) for both, depth in rng.uniform(0.2, 1.0, (frames, 2))])
        weight = rng.uniform(0.1, 1.0, (frames, 68)) if weighted else None
        heed = np.ones((frames, 68)) if weight is None else weight
        points = np.einsum("fij,lj->fil", rotation, mean) + 3 * rng.normal(size=(frames, 3, 68))
        points -= np.einsum("fl,fil->fi", heed / heed.sum(1, keepdims=True), points)[..., None]
        options = FitOptions()

        count = present.sum()
        prior = options.identity_prior * (axes[:, 0] @ present) / count * (1 + SHARED_ERROR * (count - 1))
        shapes, shifts = identity_size + frames * (size - identity_size), 3 * frames
        rows, right = [], []
        alpha = np.zeros((identity_size, shapes + shifts))
        alpha[:, :identity_size] = np.sqrt(prior) * np.eye(identity_size)
        rows.append(alpha), right.append(np.zeros(identity_size))
        at_beta = lambda f: slice(identity_size + f * 6, identity_size + (f + 1) * 6)
        for f in range(frames):
            root = np.sqrt(axes[f][:, None] * heed[f]).ravel()
            moved = scale[f] * np.einsum("ij,ljn->iln", rotation[f], basis).reshape(-1, size)
            jacobian = np.zeros((3 * 68, shapes + shifts))
            jacobian[:, :identity_size] = present[f] * moved[:, :identity_size]
            jacobian[:, at_beta(f)] = moved[:, identity_size:]
            jacobian[:, shapes + 3 * f : shapes + 3 * f + 3] = np.kron(np.eye(3), np.ones((68, 1)))
            gap = points[f] - scale[f] * rotation[f] @ mean.T
            rows.append(root[:, None] * jacobian), right.append(root * gap.ravel())
            beta = np.zeros((6, shapes + shifts))
            beta[:, at_beta(f)] = np.sqrt(options.expression_prior * axes[f, 0]) * np.eye(6)
            rows.append(beta), right.append(np.zeros(6))
            if linked[f]:
                expression = (basis - basis.mean(axis=0))[..., identity_size:].reshape(-1, 6)
                tie = np.zeros((len(expression), shapes + shifts))
                tie[:, at_beta(f)], tie[:, at_beta(f - 1)] = expression, -expression
                rows.append(np.sqrt(smoothness) * tie), right.append(np.zeros(len(tie)))
        dense = np.linalg.lstsq(np.concatenate(rows), np.concatenate(right))[0]

        found = jax.jit(solve_shapes, static_argnums=6)(
            model,
            Target(jnp.asarray(points), jnp.asarray(axes), None if weight is None else jnp.asarray(weight)),
            *map(jnp.asarray, (scale, rotation, present, linked)),
            options,
            jnp.asarray(smoothness),
        )
        np.testing.assert_allclose(found[0], dense[:identity_size], atol=1e-8)
        seen = present > 0
        np.testing.assert_allclose(found[1][seen], dense[identity_size:shapes].reshape(frames, 6)[seen], atol=1e-8)


class TestPhotographs:
    def test_one_picture_is_a_single_fit(self, small, pictures):
        landmarks, _ = pictures(3, noise_mm=1.0)
        for points in (landmarks.xy, landmarks.xyz):
            points[1:] = np.nan
        single, sequence = jaxface.fit(small, at(landmarks, 0)), at(jaxface.fit_sequence(small, landmarks), 0)
        for one, other in zip(jax.tree.leaves(single), jax.tree.leaves(sequence), strict=True):
            np.testing.assert_allclose(other, one, rtol=2e-3, atol=5e-3)

    def test_exact_landmarks_give_back_the_person(self, x64, small, pictures):
        landmarks, truth = pictures(4, dtype=np.float64)
        loose = FitOptions(variant="2d+3d", identity_prior=1e-6, expression_prior=1e-6, iterations=300)
        result = jaxface.fit_sequence(small, landmarks, loose)
        np.testing.assert_allclose(result.identity, np.tile(truth["identity"], (4, 1)), atol=1e-2)
        np.testing.assert_allclose(result.expression, truth["expression"], atol=1e-2)
        np.testing.assert_allclose(result.pose.rotation, truth["rotation"], atol=1e-3)
        assert (result.status == Status.CONVERGED).all()

    def test_more_pictures_know_the_person_better(self, small, pictures):
        errors = []
        for seed in range(4):
            landmarks, truth = pictures(5, noise_mm=3.0, seed=seed)
            both = each_alone(small, landmarks), jaxface.fit_sequence(small, landmarks)
            errors.append([np.linalg.norm(each.identity - truth["identity"], axis=1).mean() for each in both])
        single, joint = np.mean(errors, axis=0)
        assert joint < 0.7 * single

    def test_the_size_of_a_photograph_does_not_matter(self, small, pictures):
        landmarks, _ = pictures(3, noise_mm=2.0)
        zoom = np.float32([1, 10, 0.2])[:, None, None]
        zoomed = jaxface.fit_sequence(small, Landmarks(landmarks.xy * zoom, landmarks.xyz * zoom))
        result = jaxface.fit_sequence(small, landmarks)
        np.testing.assert_allclose(zoomed.identity, result.identity, atol=5e-3)
        np.testing.assert_allclose(zoomed.pose.scale, result.pose.scale * zoom[:, 0, 0], rtol=1e-3)
        np.testing.assert_allclose(zoomed.pose.translation, result.pose.translation * zoom[:, 0], rtol=2e-3, atol=0.1)

    def test_order_does_not_matter(self, small, pictures):
        landmarks, _ = pictures(3, noise_mm=2.0)
        result = jaxface.fit_sequence(small, landmarks)
        turned = jaxface.fit_sequence(small, at(landmarks, slice(None, None, -1)))
        np.testing.assert_allclose(turned.identity, result.identity, atol=5e-3)
        np.testing.assert_allclose(turned.expression[::-1], result.expression, atol=5e-3)

    @pytest.mark.parametrize("smoothness", [0.0, 10.0])
    def test_a_missing_face_has_a_status_and_changes_no_other(self, small, pictures, smoothness):
        landmarks, _ = pictures(5, noise_mm=1.0)
        alone = jaxface.fit_sequence(small, at(landmarks, slice(0, 3)), smoothness=smoothness)
        gone = np.arange(5)[:, None, None] < 3
        missing = jax.tree.map(lambda leaf: np.where(gone, leaf, np.nan).astype(leaf.dtype), landmarks)
        flat = replace(missing, xy=missing.xy.copy(), xyz=missing.xyz.copy())
        flat.xy[4], flat.xyz[4] = 0, 0
        result = jaxface.fit_sequence(small, flat, smoothness=smoothness)
        assert list(result.status[3:]) == [Status.NON_FINITE_INPUT, Status.DEGENERATE_LANDMARKS]
        for one, other in zip(jax.tree.leaves(alone), jax.tree.leaves(result), strict=True):
            np.testing.assert_allclose(other[:3], one, rtol=1e-3, atol=0.05)
        assert not result.expression[3:].any() and np.isfinite(result.pose.scale).all()
        np.testing.assert_array_equal(result.identity[4], result.identity[0])

    def test_the_weights_of_a_missing_face_change_no_other(self, small, pictures):
        landmarks, _ = pictures(3, noise_mm=2.0)
        landmarks.xy[1] = np.nan
        weights = (np.repeat(np.float32([[1], [heed], [1]]), 68, axis=1) for heed in (1, 50))
        one, other = (jaxface.fit_sequence(small, replace(landmarks, weight=weight)) for weight in weights)
        jax.tree.map(np.testing.assert_array_equal, at(one, np.s_[::2]), at(other, np.s_[::2]))

    def test_a_picture_that_is_believed_less_says_less(self, small, pictures):
        landmarks, _ = pictures(2, noise_mm=4.0)
        identity = {}
        for second in (1.0, 0.1, 1e-4):
            weight = np.repeat(np.float32([[3.0], [3.0 * second]]), 68, axis=1)
            identity[second] = jaxface.fit_sequence(small, replace(landmarks, weight=weight)).identity[0]
        first = jaxface.fit_sequence(small, replace(landmarks, xy=landmarks.xy * np.float32([[[1]], [[np.nan]]])))
        apart = {second: float(jnp.linalg.norm(alpha - first.identity[0])) for second, alpha in identity.items()}
        assert apart[0.1] < 0.5 * apart[1.0] and apart[1e-4] < apart[0.1]

    @pytest.mark.parametrize(
        "believed, status",
        [([30, 36, 45], Status.DEGENERATE_LANDMARKS), ([27, 28, 29, 30, 57], Status.DIVERGED)],
        ids=["too few", "in the mean face's middle plane"],
    )
    @pytest.mark.parametrize("options", [FitOptions(), FitOptions(loss="robust")])
    def test_a_picture_that_tells_no_pose_is_a_missing_one(self, small, pictures, options, believed, status):
        landmarks, _ = pictures(3, noise_mm=2.0)
        weight = np.ones(landmarks.xy.shape[:2], np.float32)
        weight[1] = np.isin(np.arange(68), believed)
        missing = replace(landmarks, xy=landmarks.xy.copy(), weight=weight)
        missing.xy[1] = np.nan
        result = jaxface.fit_sequence(small, replace(landmarks, weight=weight), options)
        expected = jaxface.fit_sequence(small, missing, options)
        assert result.status[1] == status and (result.status[::2] <= Status.MAX_ITERATIONS).all()
        jax.tree.map(np.testing.assert_array_equal, at(result, np.s_[::2]), at(expected, np.s_[::2]))
        assert jaxface.fit(small, replace(at(landmarks, 1), weight=weight[1]), options).status == status

    def test_no_face_at_all_is_the_mean_face(self, small, pictures):
        landmarks, _ = pictures(3)
        result = jaxface.fit_sequence(small, jax.tree.map(lambda leaf: leaf * np.float32(np.nan), landmarks))
        assert (result.status == Status.NON_FINITE_INPUT).all() and not result.identity.any()

    def test_arguments_are_checked(self, small, pictures):
        landmarks, _ = pictures(2)
        with pytest.raises(ValueError, match=r"landmarks\.xy: got shape \(68, 2\), takes \(faces, 68, 2\)"):
            jaxface.fit_sequence(small, at(landmarks, 0))
        with pytest.raises(ValueError, match="variant='calibrated': takes the paper's variants"):
            jaxface.fit_sequence(small, landmarks, FitOptions(variant="calibrated"))
        with pytest.raises(ValueError, match="got 0 pictures, takes one or more"):
            jaxface.fit_sequence(small, jax.tree.map(lambda leaf: leaf[:0], landmarks))
        for wrong in (-1.0, np.nan, np.inf, 1e20):
            with pytest.raises(ValueError, match="smoothness: got .*, takes one number of 0 or more"):
                jaxface.fit_sequence(small, landmarks, smoothness=wrong)


class TestVideo:
    def test_a_still_face_is_a_fifth_as_unsteady_as_frame_by_frame(self, small, pictures):
        landmarks, _ = pictures(40, noise_mm=1.0, same_pose=True)

        def jitter(result):
            mesh = np.asarray(jaxface.vertices(small, result, camera=True))[5:-5, ::20]
            return np.sqrt(np.mean(np.sum(np.diff(mesh, axis=0) ** 2, axis=-1)))

        steady = jitter(jaxface.fit_sequence(small, landmarks, smoothness=SMOOTHNESS))
        assert steady < 0.2 * jitter(each_alone(small, landmarks))

    def test_a_large_film_is_steadied_as_a_small_one(self, small, pictures):
        landmarks, _ = pictures(40, noise_mm=1.0, same_pose=True)
        zoomed = lambda zoom: jax.tree.map(lambda leaf: leaf * np.float32(zoom), landmarks)
        few, many = (jaxface.fit_sequence(small, zoomed(zoom), smoothness=SMOOTHNESS) for zoom in (1, 10))
        np.testing.assert_allclose(many.pose.translation / 10, few.pose.translation, atol=0.05)

    def test_frames_are_not_held_together_over_a_gap(self, small, pictures):
        landmarks, _ = pictures(3, noise_mm=1.0)
        landmarks.xy[1] = np.nan
        free, held = (jaxface.fit_sequence(small, landmarks, smoothness=value) for value in (0.0, 50.0))
        for one, other in zip(*(jax.tree.leaves(at(each, np.s_[::2])) for each in (free, held)), strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-3, atol=0.01)

    def test_a_turning_head_is_where_it_is(self, small, face):
        yaws = 30 * np.sin(np.arange(40) / 10)
        faces = [face(seed=1, euler_deg=(0, yaw, 0))[0] for yaw in yaws]
        landmarks = jax.tree.map(lambda *leaves: np.stack(leaves), *faces)
        free, held = (jaxface.fit_sequence(small, landmarks, smoothness=value) for value in (0.0, SMOOTHNESS))
        apart = np.abs(held.pose.euler_deg - free.pose.euler_deg)
        assert apart[5:-5].max() < 2 and apart.max() < 6  # degrees; it turns by up to 3 a frame

    def test_a_head_that_is_elsewhere_at_once_is_there_at_once(self, small, pictures):
        landmarks, _ = pictures(40, same_pose=True)
        shift = np.where(np.arange(40) < 20, 0, 100).astype(np.float32)[:, None, None] * np.float32([1, 0, 0])
        moved = Landmarks(landmarks.xy + shift[..., :2], landmarks.xyz + shift)
        result = jaxface.fit_sequence(small, moved, smoothness=SMOOTHNESS)
        np.testing.assert_allclose(result.pose.translation[:, 0] - shift[:, 0, 0], 320, atol=3)

    def test_a_mouth_that_opens_at_once_is_open_at_once(self, small, pictures):
        landmarks, truth = pictures(40, same_pose=True)
        assert small.expression_names[0] == "jawOpen"
        opened = np.array(3 * 0.8 * small.at_landmarks("ibug68").basis[..., 8] @ truth["rotation"][0].T)
        landmarks.xy[20:] += opened[:, :2]
        landmarks.xyz[20:] += opened
        jaw = np.asarray(jaxface.fit_sequence(small, landmarks, smoothness=SMOOTHNESS).expression)[:, 0]
        assert jaw[30] - jaw[10] > 0.4 and jaw[20] - jaw[19] > 0.9 * (jaw[30] - jaw[10])


def test_jit_vmap_and_grad_go_through(x64, small, pictures):
    options = FitOptions(variant="2d+3d")  # its weights do not jump
    clips = [pictures(3, noise_mm=1.0, seed=seed, dtype=np.float64)[0] for seed in range(2)]
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), *clips)

    def first(landmarks):
        return jaxface.fit_sequence(small, landmarks, options, smoothness=3.0).identity[0, 0]

    run = jax.jit(jax.vmap(jax.value_and_grad(first)))
    firsts, slopes = run(both)
    step = 1e-4 * np.random.default_rng(0).normal(size=clips[1].xyz.shape)
    aside = np.stack([clips[1].xyz + step, clips[1].xyz - step])
    (above, below), _ = run(Landmarks(np.stack([clips[1].xy] * 2), aside))
    np.testing.assert_allclose(firsts[1], (above + below) / 2, rtol=1e-6)
    np.testing.assert_allclose(np.vdot(slopes.xyz[1], step), (above - below) / 2, rtol=1e-4)
