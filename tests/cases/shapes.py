"""Moving entries: reshaping, slicing, joining and looking up."""

from __future__ import annotations

from .common import integers, normal, paddle

X = {"x": normal(4, 6)}
CUBE = {"x": normal(2, 4, 6)}
IMAGES = {"x": normal(2, 4, 4, 6)}
PAIR = {"x": normal(3, 4), "y": normal(3, 4, seed=1)}
ROWS = paddle.to_tensor([0, 3, 3, 1])
PLACES = integers(6, 4, 2)
MASK = integers(2, 4, 6) > 0

FUNCTIONS = {
    "x.reshape([6, -1])": X,
    "paddle.flatten(x)": CUBE,
    "paddle.flatten(x, 1)": CUBE,
    "paddle.flatten(x, 1, 2)": IMAGES,
    "x.transpose([2, 0, 1])": CUBE,
    "x.t()": X,
    "paddle.moveaxis(x, 0, 2)": CUBE,
    "x.unsqueeze(1).squeeze(1)": X,
    "x[1:3, 2]": X,
    "x[:, None, -1]": X,
    "x[::2]": X,
    "x[:, 1::2]": X,
    "x[::2, ..., -1]": CUBE,
    "x[:, ::-1]": X,
    "x[ROWS]": X,
    "x[ROWS, ::2]": X,
    "x[[0, 2]]": X,
    "x[MASK]": X,
    "x[paddle.arange(4), ROWS]": X,
    "paddle.slice(x, [0, 1], [1, 2], [3, 5])": X,
    "paddle.strided_slice(x, [0, 1], [0, 5], [4, 0], [2, -2])": X,
    "paddle.split(x, 3, 1)[1]": X,
    "paddle.chunk(x, 2, 1)[1]": X,
    "paddle.unbind(x)[1]": X,
    "paddle.concat([x, y], 1)": PAIR,
    "paddle.concat([x, paddle.ones([3, 4], 'float64'), y])": PAIR,
    "paddle.stack([x, y], 1)": PAIR,
    "paddle.stack([x, paddle.ones([3, 4], 'float64'), y])": PAIR,
    "paddle.tile(x, [2, 1])": X,
    "paddle.expand(x, [3, 4, 6])": X,
    "paddle.broadcast_to(x, [3, 4, 6])": X,
    "paddle.repeat_interleave(x, 2, 1)": X,
    "paddle.flip(x, 1)": X,
    "paddle.roll(x, 1, 1)": X,
    "paddle.rot90(x)": X,
    "paddle.tril(x)": X,
    "paddle.triu(x)": X,
    "paddle.diag(x[0])": X,
    "paddle.diagonal(x)": X,
    "paddle.diag_embed(x)": X,
    "paddle.gather(x, ROWS)": X,
    "paddle.gather(x, ROWS, axis=1)": X,
    "paddle.gather_nd(x, PLACES.reshape([-1, 2]).clip(0, 3))": X,
    "paddle.index_select(x, ROWS, 1)": X,
    "paddle.index_sample(x, PLACES)": X,
    "paddle.take_along_axis(x, PLACES, 1)": X,
    "paddle.put_along_axis(x, PLACES[:, :1], y, 1)": {**X, "y": normal(4, 1, seed=1)},
    "paddle.put_along_axis(x, PLACES, y, 1, reduce='add')": {**X, "y": normal(4, 2, seed=1)},
    "paddle.scatter(x, ROWS[2:], y)": {**X, "y": normal(2, 6, seed=1)},
    "paddle.scatter(x, ROWS[1:3], y, overwrite=False)": {**X, "y": normal(2, 6, seed=1)},
    "paddle.scatter_nd_add(x, ROWS.unsqueeze(1), y)": {**X, "y": normal(4, 6, seed=1)},
    "paddle.index_add(x, ROWS, 0, y)": {**X, "y": normal(4, 6, seed=1)},
    "F.embedding(ROWS, w)": {"w": normal(4, 6)},
    "F.embedding(PLACES.clip(0, 3), w)": {"w": normal(4, 6)},
    "F.embedding(ROWS, w, padding_idx=3)": {"w": normal(4, 6)},
    "F.pad(x, [1, 2, 0, 1])": IMAGES,
    "F.pad(x, [1, 2, 0, 1], mode='reflect')": IMAGES,
    "F.pad(x, [1, 2, 0, 1], mode='replicate')": IMAGES,
    "F.pad(x, [1, 2, 0, 1], mode='circular')": IMAGES,
    "paddle.index_put(x, (ROWS[2:],), y)": {**X, "y": normal(2, 6, seed=1)},
    "F.zeropad2d(x, [1, 2, 0, 1])": IMAGES,
    "paddle.crop(x, [2, 3], [1, 2])": X,
    "paddle.meshgrid(x[0], y[0])[0]": {"x": normal(2, 3), "y": normal(2, 4)},
    "F.unfold(x, 3)": IMAGES,
    "F.unfold(x, [2, 3], 2, [1, 0], 1)": IMAGES,
    "F.fold(x, [4, 5], 2)": {"x": normal(2, 8, 12)},
    "F.pixel_shuffle(x, 2)": IMAGES,
    "F.pixel_unshuffle(x, 2)": IMAGES,
    "F.channel_shuffle(x, 2)": IMAGES,
    "F.temporal_shift(x, 2, 0.25)": IMAGES,
    "paddle.as_strided(x, [3, 2], [6, 2])": X,
    "paddle.unfold(x, 1, 3, 2)": X,
    "paddle.assign(x)": X,
    "x.clone()": X,
}
LAYERS = {
    ("nn.Flatten()", "x"): IMAGES,
    ("nn.Embedding(4, 6)", "ROWS"): {},
}
