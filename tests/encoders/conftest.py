import pytest

from helpers import encoders


@pytest.fixture(scope="session")
def tiny():
    return encoders.load("tiny", device="cpu", precision="fp32")
