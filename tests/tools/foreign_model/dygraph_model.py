import net
import paddle


class DygraphModel:
    def create_model(self, config):
        return net.ClickLayer(
            config.get("hyper_parameters.items"), config.get("hyper_parameters.item_dim")
        )

    def create_feeds(self, batch_data, config):
        label, item, weight = batch_data
        return label, item, weight

    def create_loss(self, prediction, label):
        loss = paddle.nn.functional.log_loss(prediction, label.astype("float32"))
        return paddle.mean(loss)

    def create_optimizer(self, dy_model, config):
        rate = float(config.get("hyper_parameters.optimizer.learning_rate"))
        decay = config.get("hyper_parameters.optimizer.decay")
        if decay < 1:
            rate = paddle.optimizer.lr.ExponentialDecay(rate, decay)
        return paddle.optimizer.Adam(rate, parameters=dy_model.parameters())

    def create_metrics(self):
        return [paddle.metric.Auc("ROC")], ["auc"]

    def forward(self, dy_model, metrics_list, batch_data, config):
        label, item, weight = self.create_feeds(batch_data, config)
        prediction = dy_model.forward(item, weight)
        both = paddle.concat([1 - prediction, prediction], axis=1)
        metrics_list[0].update(preds=both.numpy(), labels=label.numpy())
        return prediction, label

    def train_forward(self, dy_model, metrics_list, batch_data, config):
        prediction, label = self.forward(dy_model, metrics_list, batch_data, config)
        loss = self.create_loss(prediction, label)
        return loss, metrics_list, {"loss": loss}

    def infer_forward(self, dy_model, metrics_list, batch_data, config):
        self.forward(dy_model, metrics_list, batch_data, config)
        return metrics_list, None
