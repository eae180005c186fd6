"""What the learners of all algorithms do with the images of one task."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np
import paddle

from . import exported
from .batch_statistics import normalisation
from .errors import UserError
from .exported import Export
from .image_files import check_form
from .pixel_scale import PixelScale

BATCH = 256  # images


class TaskClassifier:
    """The base of learners that classify.

    A subclass classifies by `learner(x)` -> outputs, has the `dtype` of its parameters, and gives
    by `standalone(support_x)` the same as a layer of its own.
    """

    dtype: paddle.dtype

    def __call__(self, x):
        raise NotImplementedError

    def standalone(self, support_x=None) -> paddle.nn.Layer:
        raise NotImplementedError

    def predict(self, images, support_x=None) -> np.ndarray:
        """The probability of each class for each image: the softmax of the outputs.

        Parameters
        ----------
        images : numpy.ndarray or Tensor (image, ...)
            What the network takes; numbers with a fraction get its dtype.
        support_x : numpy.ndarray or Tensor (example, ...), optional
            The images that the learner was adapted to. With them batch norm is fixed to their
            statistics: what is said of an image depends on that image alone, and is what a saved
            classifier says. Without, MAML and its family normalise by all `images` together
            (transductive), as in a meta-test: give all queries of the task at once. The
            algorithms whose batch norm goes by running statistics say the same either way.

        Returns
        -------
        numpy.ndarray (image, class), float32
            Each row sums to 1.

        Raises
        ------
        UserError
            If there are no images.

        Examples
        --------
        >>> import paddle
        >>> from paddle_maml import MAML
        >>> maml = MAML(paddle.nn.Linear(3, 2), inner_lr=0.1)
        >>> support_x, support_y = paddle.eye(3), paddle.to_tensor([0, 0, 1])
        >>> learner = maml.adapt(support_x, support_y, steps=50)
        >>> learner.predict(support_x.numpy()).argmax(1).tolist()
        [0, 0, 1]
        """
        images = self._taken(images)
        if not len(images):
            raise UserError("there are no images to predict: give one or more.")
        if support_x is None:
            return probabilities(self(images))
        layer = self.standalone(support_x)
        with paddle.no_grad():
            return probabilities(paddle.concat([layer(some) for some in batches(images)]))

    def export(
        self,
        support_x,
        classes: Sequence[str],
        scale: PixelScale | None = None,
        fit: str = "stretch",
    ) -> Export:
        """What `save` writes; its parameters are the same."""
        support_x, classes = self._taken(support_x), [str(name) for name in classes]
        layer = self.standalone(support_x)
        with paddle.no_grad():
            outputs = layer(support_x).shape[-1]
        if len(classes) != outputs or len({*classes}) != outputs:
            raise UserError(
                f"{len({*classes})} different classes are named, but the network tells {outputs} "
                "apart: name each of them, in the order of their labels."
            )
        shape, dtype = list(support_x.shape[1:]), support_x.numpy().dtype.name
        description = {"input": {"shape": shape, "dtype": dtype}}
        if scale is not None:
            channels, side, _ = shape
            check_form(side, channels, fit)
            ends = {name: np.asarray(end).tolist() for name, end in scale._asdict().items()}
            description["image"] = {"side": side, "channels": channels, "fit": fit, **ends}
        description |= {"batch_norm": normalisation(layer), "classes": classes}
        return Export(layer, [paddle.static.InputSpec([None, *shape], dtype, "image")], description)

    def save(
        self,
        path: str | os.PathLike[str],
        support_x,
        classes: Sequence[str],
        scale: PixelScale | None = None,
        fit: str = "stretch",
    ) -> None:
        """Write a classifier that `paddle_maml.load`, and Paddle Inference, can run by itself.

        Batch norm of MAML and its family is fixed to the statistics of the support images, so that
        what the classifier says of an image depends on that image alone: it is what
        `predict(images, support_x)` says. That of the other algorithms goes by the running
        statistics of the training.

        Parameters
        ----------
        path : path
            A directory, of the form that tools/to_static.py writes: tostatic.json (or .pdmodel),
            tostatic.pdiparams and infer_cfg.yml. It appears whole or not at all; an earlier export
            there is replaced.
        support_x : numpy.ndarray or Tensor (example, ...)
            The images that the learner was adapted to.
        classes : sequence of str
            A name for each class, in the order of their labels.
        scale : PixelScale, optional
            How images (image, channels, side, side) were made numbers; with it a loaded classifier
            reads image files.
        fit : {"stretch", "crop"}
            With a scale: how image files that are not square are made so, by taking all of them or
            the square in the middle.

        Raises
        ------
        UserError
            If there are not as many different names as the network has outputs, or it cannot be
            written there.
        ValueError
            If there is no such fit, or `support_x` with a scale are no images of 1 or 3 channels.

        Examples
        --------
        >>> import os, tempfile, paddle, paddle_maml
        >>> maml = paddle_maml.MAML(paddle.nn.Linear(3, 2), inner_lr=0.1)
        >>> support_x, support_y = paddle.eye(3), paddle.to_tensor([0, 0, 1])
        >>> learner = maml.adapt(support_x, support_y, steps=50)
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     learner.save(directory, support_x, ["cat", "dog"])
        ...     "infer_cfg.yml" in os.listdir(directory)
        True
        """
        exported.write(path, self.export(support_x, classes, scale, fit))

    def _taken(self, values) -> paddle.Tensor:
        """`values` as a tensor, of the dtype of the parameters unless they are whole numbers."""
        tensor = values if isinstance(values, paddle.Tensor) else paddle.to_tensor(values)
        return tensor.astype(self.dtype) if tensor.is_floating_point() else tensor


def batches(images) -> Iterator:
    """Some images at a time, which bounds the memory where an output depends on one image alone."""
    return (images[first : first + BATCH] for first in range(0, len(images), BATCH))


def probabilities(outputs: paddle.Tensor) -> np.ndarray:
    """The softmax of outputs (image, class), float32."""
    return paddle.nn.functional.softmax(outputs, -1).astype("float32").numpy()
