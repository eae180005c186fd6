import shutil

import paddle
import pytest


@pytest.fixture(params=["float64", "float32"])
def dtype(request):
    if not shutil.which("g++"):
        pytest.skip("there is no g++")
    paddle.seed(0)
    paddle.set_default_dtype(request.param)
    yield request.param
    paddle.set_default_dtype("float32")
