import paddle


class ClickLayer(paddle.nn.Layer):
    def __init__(self, items, item_dim):
        super().__init__()
        self.embedding = paddle.nn.Embedding(items, item_dim)
        self.dropout = paddle.nn.Dropout(0.2)
        self.linear = paddle.nn.Linear(item_dim, 1)

    def forward(self, item, weight):
        embedded = self.embedding(item).squeeze(1) * weight
        return paddle.nn.functional.sigmoid(self.linear(self.dropout(embedded)))
