import paddle
import pytest
from paddle_maml.batched.native import library


@pytest.fixture(params=["float64", "float32"])
def dtype(request):
    if library(request.param) is None:
        pytest.skip("there is no compiler")
    paddle.seed(0)
    paddle.set_default_dtype(request.param)
    yield request.param
    paddle.set_default_dtype("float32")
