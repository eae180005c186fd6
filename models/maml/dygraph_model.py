"""Algorithm 1 of the MAML paper (Finn et al., 2017), in the form that PaddleRec's tools run."""

from __future__ import annotations

import math
from collections.abc import Iterator

import paddle
from adapted_episode import AdaptedEpisode, adapted_episode
from net import MLP, Conv4
from paddle_maml import MAML
from paddle_maml.errors import UserError
from paddle_maml.metrics import meta_test_metrics
from paddle_maml.settings import Settings


class DygraphModel:
    """What `tools/trainer.py` and `tools/infer.py` call, in the order of their calls.

    The trainer repeats lines 2 to 8 of Algorithm 1: the reader samples a batch of tasks (3),
    `train_forward` adapts to each of them (4 to 7), and the trainer's `loss.backward()` and
    `optimizer.step()` make the meta-update (8).
    """

    def check(self, config):
        """Refuse a hyper-parameter that does not exist or cannot have its value."""
        tasks = Settings.from_config(config).tasks_per_epoch
        if tasks < config.get("runner.train_batch_size", 1):
            raise UserError(
                f"hyper_parameters.tasks_per_epoch = {tasks} is less than one batch of "
                f"runner.train_batch_size = {config['runner.train_batch_size']} tasks: raise it."
            )

    def create_model(self, config):
        """Line 1: initialise theta."""
        setting = Settings.from_config(config)
        if setting.network == "conv4":
            net = Conv4(
                setting.n_way,
                setting.imgsize,
                setting.channels,
                filters=setting.bn_channel,
                pool=setting.conv_stride == 1,
            )
        else:
            net = MLP(setting.channels * setting.imgsize**2, setting.n_way)
        return MAML(
            net,
            inner_lr=setting.base_optimizer__learning_rate,
            inner_steps=setting.update_step,
            order=setting.order,
        )

    def create_feeds(self, batch_data, config):
        """A batch of tasks from the reader: support_x, support_y, query_x, query_y."""
        return tuple(batch_data)

    def create_optimizer(self, dy_model, config):
        """The meta-optimizer of line 8."""
        setting = Settings.from_config(config)
        meta_lr = setting.meta_optimizer__learning_rate
        if setting.meta_optimizer__decay == "cosine":
            per_epoch = setting.tasks_per_epoch // config["runner.train_batch_size"]
            steps = per_epoch * config["runner.epochs"]
            # In closed form: Paddle's own follows from the last rate, and so stays at zero.
            meta_lr = paddle.optimizer.lr.LambdaDecay(
                meta_lr, lambda step: (1 + math.cos(math.pi * min(step / steps, 1))) / 2
            )
        return paddle.optimizer.Adam(meta_lr, parameters=dy_model.parameters())

    def create_metrics(self):
        """Query accuracy after adaptation, its 95 % confidence interval, and how many tasks."""
        return meta_test_metrics()

    def train_forward(self, dy_model, metrics_list, batch_data, config):
        """Lines 4 to 7: adapt to each task on its support set, and the loss on its queries."""
        support_x, support_y, query_x, query_y = self.create_feeds(batch_data, config)
        loss, logits = dy_model(support_x, support_y, query_x, query_y)
        metrics_list[0].accuracies.update(accuracy(logits, query_y).unsqueeze(1).numpy())
        return loss, metrics_list, {"loss": loss}

    def infer_forward(self, dy_model, metrics_list, batch_data, config):
        """Meta-test: query accuracy before and after each inner step, task by task."""
        steps = Settings.from_config(config).update_step_test
        for support_x, support_y, query_x, query_y in zip(*self.create_feeds(batch_data, config)):
            learners = dy_model.path(support_x, support_y, steps)
            curve = paddle.stack([accuracy(learner(query_x), query_y) for learner in learners])
            metrics_list[0].accuracies.update(curve.unsqueeze(0).numpy())
        return metrics_list, None

    def summary(self, metrics_list, config):
        """The meta-test in full, for `meta_test.json` and for the table that infer prints."""
        setting, accuracies = Settings.from_config(config), metrics_list[0].accuracies
        return {
            "accuracy": accuracies.mean()[-1].item(),
            "ci95": accuracies.ci95()[-1].item(),
            "tasks": accuracies.tasks,
            "way": setting.n_way,
            "shot": setting.k_spt,
            "query": setting.query(training=False),
            "steps": setting.update_step_test,
            "accuracy_per_step": accuracies.mean().tolist(),
            "ci95_per_step": accuracies.ci95().tolist(),
            "transductive": True,
            "rotation": False,
            "order": setting.order,
            "inner_lr": setting.base_optimizer__learning_rate,
        }

    def title(self, config) -> str:
        """The experiment in words."""
        setting = Settings.from_config(config)
        algorithm = f"{'second' if setting.order == 2 else 'first'}-order MAML"
        network = {"conv4": "Conv4", "mlp": "MLP"}[setting.network]
        return f"{setting.n_way}-way {setting.k_spt}-shot: {algorithm} on {network}"

    def episodes(self, dy_model, batch_data, config) -> Iterator[AdaptedEpisode]:
        """The tasks of a test batch one by one, with the predictions of their queries."""
        steps = Settings.from_config(config).update_step_test
        for task in zip(*self.create_feeds(batch_data, config)):
            yield adapted_episode(dy_model, *task, steps)


def accuracy(logits, labels):
    """Share of right answers over the last axis of `labels`."""
    return (logits.argmax(-1) == labels).astype("float32").mean(-1)
