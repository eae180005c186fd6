"""Algorithm 1 of the MAML paper (Finn et al., 2017), in the form that PaddleRec's tools run."""

from __future__ import annotations

import hashlib
import importlib
import logging
import math
from collections.abc import Iterator

import deployment
import paddle
from adapted_episode import AdaptedCurves, AdaptedEpisode
from algorithms import adaptation, algorithm_title, create_algorithm
from demonstration import Demonstration
from net import create_net
from own_network import refuse_impossible_own
from paddle_maml import MAML, Ensemble, View
from paddle_maml.errors import UserError
from paddle_maml.functional import linear, nan_unless_finite, trainable
from paddle_maml.metrics import meta_test_metrics
from paddle_maml.pixel_scale import INK, PixelScale
from paddle_maml.settings import Settings
from paddle_maml.sharing import meta_batch
from problems import PROBLEMS
from remarks import remarks
from watch import Watch


class DygraphModel:
    """What `tools/trainer.py` and `tools/infer.py` call, in the order of their calls.

    The trainer repeats lines 2 to 8 of Algorithm 1: the reader samples a batch of tasks (3),
    `train_forward` adapts to each of them (4 to 7), and the trainer's `loss.backward()` and
    `optimizer.step()` make the meta-update (8).
    """

    def __init__(self):
        # With paddle 2.6, which sets the level first, PaddleRec's infer would print nothing.
        logging.getLogger("__main__").setLevel(logging.INFO)
        self.algorithm = None  # the model, whatever the trainer wraps it in
        self.problem = None  # what the tasks ask for
        self.schedule = None  # of the meta-learning rate
        self.scheduled = None  # where it stood at the last meta-step
        self.tested = None  # the parameters of the last meta-test
        self.watch = None  # over the losses of training

    def check(self, config):
        """Refuse a hyper-parameter that does not exist or cannot have its value."""
        tasks = Settings.from_config(config).tasks_per_epoch
        if tasks < meta_batch(config):
            raise UserError(
                f"hyper_parameters.tasks_per_epoch = {tasks} is less than one batch of "
                f"runner.train_batch_size = {meta_batch(config)} tasks: raise it."
            )

    def create_model(self, config):
        """Line 1: initialise theta."""
        setting = Settings.from_config(config)
        self.problem = PROBLEMS[setting.loss]
        self.algorithm = create_algorithm(
            create_net(setting, config.get("config_abs_dir")),
            setting,
            task_chunk=config.get("runner.task_chunk"),
            amp=bool(config.get("runner.use_amp", False)),
        )
        on_cpu = paddle.get_device() == "cpu"
        self.watch = Watch(self.algorithm, 1 if on_cpu else config.get("runner.print_interval", 10))
        return self.algorithm

    def create_feeds(self, batch_data, config):
        """A batch of tasks from the reader: support_x, support_y, query_x, query_y.

        In a pretraining also the numbers of the tasks' classes.
        """
        return tuple(batch_data)

    def create_optimizer(self, dy_model, config):
        """The meta-optimizer of line 8."""
        self.check(config)
        setting = Settings.from_config(config)
        config.setdefault("meta_steps", 0)  # by which the reader knows a training from a test
        if config.get("runner.use_amp", False):
            _check_amp(dy_model, setting)
        if setting.own_network and setting.order == 2:
            refuse_impossible_own(dy_model, setting)
        meta_lr = setting.meta_optimizer__learning_rate
        if setting.meta_optimizer__decay == "cosine":
            steps = setting.tasks_per_epoch // meta_batch(config) * config["runner.epochs"]
            # In closed form: Paddle's own follows from the last rate, and so stays at zero.
            meta_lr = self.schedule = paddle.optimizer.lr.LambdaDecay(
                meta_lr, lambda step: (1 + math.cos(math.pi * min(step / steps, 1))) / 2
            )
        clip, value, norm = None, setting.meta_optimizer__clip, setting.meta_optimizer__clip_norm
        if value is not None:
            clip = paddle.nn.ClipGradByValue(value)
        elif norm is not None:
            clip = paddle.nn.ClipGradByGlobalNorm(norm)
        return paddle.optimizer.Adam(meta_lr, parameters=dy_model.parameters(), grad_clip=clip)

    def create_metrics(self):
        """The queries' accuracy or squared error after adaptation, its 95 % confidence interval,
        and how many tasks.
        """
        return meta_test_metrics(self.problem.metric)

    @property
    def lower_is_better(self) -> bool:
        """Whether the first metric is an error, for the trainer to find the best epoch by."""
        return self.problem.lower_is_better

    def train_forward(self, dy_model, metrics_list, batch_data, config):
        """Lines 4 to 7: adapt to each task on its support set, and the loss on its queries.

        Where that or its gradient is not finite, the training ends here, before line 8.
        """
        self._count_step(config)
        batch = self.create_feeds(batch_data, config)
        loss, outputs = dy_model(*batch)
        if not isinstance(self.algorithm, MAML):  # whose loss shows what its gradient is
            theta = trainable(self.algorithm)
            loss = linear(loss, theta, paddle.grad(loss, theta, allow_unused=True))
        self.watch.meta_step(*self._place(config), loss, batch, config)
        query_y = batch[3]
        metrics_list[0].meta_test.scores.update(self.problem.score(outputs, query_y).unsqueeze(1))
        return loss, metrics_list, {"loss": loss}

    def infer_forward(self, dy_model, metrics_list, batch_data, config):
        """Meta-test: each task's score and loss on its queries, before and after each step.

        Both are nan, or the loss is infinite, where anything of the task is not finite.
        """
        self._begin_test(dy_model, metrics_list)
        meta_test, steps = metrics_list[0].meta_test, Settings.from_config(config).update_step_test
        support_x, support_y, query_x, query_y = batch = self.create_feeds(batch_data, config)
        outputs = dy_model.path_logits(support_x, support_y, query_x, steps)  # (step, task, ...)
        losses = self.problem.losses(outputs, query_y)
        losses = losses + nan_unless_finite([x for x in batch if paddle.is_floating_point(x)])
        scores = self.problem.score(outputs, query_y) + losses * 0
        meta_test.scores.update(scores.t())
        meta_test.losses.update(losses.t())
        return metrics_list, {"loss": paddle.to_tensor(meta_test.losses.mean()[-1], "float32")}

    def summary(self, metrics_list, config):
        """The meta-test in full, for `meta_test.json` and for the table that infer prints."""
        setting, meta_test = Settings.from_config(config), metrics_list[0].meta_test
        scores, problem = meta_test.scores, PROBLEMS[setting.loss]
        return {
            "measure": problem.measure,
            "lower_is_better": problem.lower_is_better,
            problem.measure: scores.mean()[-1].item(),
            "ci95": scores.ci95()[-1].item(),
            "tasks": scores.tasks,
            "shot": setting.k_spt,
            "query": setting.query(training=False),
            f"{problem.measure}_per_step": scores.mean().tolist(),
            "ci95_per_step": scores.ci95().tolist(),
            "loss_per_step": meta_test.losses.mean().tolist(),
            **adaptation(setting),
            **problem.protocol(setting),
            **remarks(meta_test, problem, setting),
        }

    def create_ensemble(self, models, views):
        """What `tools/infer.py` tests with `runner.infer_ensemble` and `infer_views`."""
        if views > 1:
            if self.problem is PROBLEMS["mse"]:
                raise UserError("runner.infer_views: points are not to be turned: leave it out.")
            models = [View(model, turn) for model in models for turn in range(views)]
        return Ensemble(models, self.problem.join)

    def title(self, config) -> str:
        """The experiment in words."""
        setting = Settings.from_config(config)
        network = {"conv4": "Conv4", "mlp": "MLP"}.get(setting.network, setting.network)
        task = PROBLEMS[setting.loss].title(setting)
        return f"{task}: {algorithm_title(setting)} on {network}"

    def episodes(self, dy_model, batch_data, config) -> Iterator[AdaptedEpisode | AdaptedCurves]:
        """The tasks of a test batch one by one, with the predictions of their queries."""
        setting, scale = Settings.from_config(config), pixel_scale(config)
        for task in zip(*self.create_feeds(batch_data, config)):
            yield PROBLEMS[setting.loss].episode(
                dy_model, *task, steps=setting.update_step_test, scale=scale
            )

    def export(self, dy_model, config, support: str | None = None, steps: int | None = None):
        """What `tools/to_static.py` writes: the network, or with `support` an adapted classifier.

        `support` is a directory with a folder of images per class; `steps` are the inner steps on
        them, `update_step_test` if not given.
        """
        setting = Settings.from_config(config)
        if support is not None:
            return self.adapt(dy_model, config, support, steps).export()
        if setting.loss == "mse":
            return deployment.regressor(dy_model, setting)
        return deployment.network(dy_model, setting, pixel_scale(config))

    def adapt(self, dy_model, config, support: str, steps: int | None = None):
        """What `tools/adapt.py` predicts with; parameters are those of `export`."""
        setting = Settings.from_config(config)
        return deployment.adapt(dy_model, setting, pixel_scale(config), support, steps)

    def demonstration(self, dy_model, config):
        """What `tools/demo.py` shows."""
        setting = Settings.from_config(config)
        if setting.loss == "mse":
            raise UserError(
                "the page shows classes of images, but hyper_parameters.loss is mse: see the plots "
                "of tools/report.py instead."
            )
        return Demonstration(dy_model, setting, pixel_scale(config), self.title(config))

    def _count_step(self, config):
        """Do what PaddleRec's trainer leaves undone: tell reader and algorithm how far training
        has come, step the schedule.
        """
        if hasattr(self.algorithm, "at_epoch"):
            steps = Settings.from_config(config).tasks_per_epoch // meta_batch(config)
            self.algorithm.at_epoch(config.get("meta_steps", 0) // steps)
        config["meta_steps"] = config.get("meta_steps", 0) + 1
        if self.schedule is None:
            return
        if self.schedule.last_epoch == self.scheduled:  # the trainer has not stepped it since
            self.schedule.step()
        self.scheduled = self.schedule.last_epoch

    def _place(self, config):
        """Epoch and batch of the meta-step, and whether it is the epoch's last."""
        steps = Settings.from_config(config).tasks_per_epoch // meta_batch(config)
        # PaddleRec's trainer does not say; this project's does.
        place = config.get("position") or divmod(config["meta_steps"] - 1, steps)
        return place[:2], place[1] == steps - 1

    def _begin_test(self, dy_model, metrics_list):
        """Forget another checkpoint's tasks: PaddleRec's infer keeps its metrics for all."""
        parameters = b"".join(p.numpy().tobytes() for p in dy_model.parameters())
        digest = hashlib.sha256(parameters).digest()
        if digest != self.tested:
            metrics_list[0].reset()
            for name, p in dy_model.named_parameters():
                if not bool(paddle.isfinite(p).all()):
                    raise UserError(f"{name} of this checkpoint is not finite: test another one.")
        self.tested = digest


def pixel_scale(config) -> PixelScale:
    """How the images of a meta-test were made numbers: by mean and standard deviation, or as its
    reader says, or ink on paper.
    """
    reader = importlib.import_module(config.get("runner.infer_reader_path", "omniglot_reader"))
    return Settings.from_config(config).scale(getattr(reader.RecDataset, "scale", INK))


def _check_amp(dy_model, setting):
    """Refuse mixed precision where there is none."""
    if not isinstance(dy_model, MAML):
        raise UserError(
            f"runner.use_amp: there is no mixed precision for {algorithm_title(setting)}: "
            "set runner.use_amp: false."
        )
    if not paddle.get_device().startswith("gpu"):
        raise UserError(
            "runner.use_amp needs runner.use_gpu and a GPU that Paddle finds, but this training "
            "runs on the CPU: set runner.use_amp: false."
        )
