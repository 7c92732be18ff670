import math

import pytest

from robatch.instances import InputError, Model, State


def test_a_call_pays_the_shared_prompt_at_the_input_price():
    assert Model("m", price_in=2.5, price_out=7.0, shared_tokens=800).call_price == pytest.approx(0.002)


def test_batch_sizes_are_sorted_and_numbers_become_plain():
    import numpy as np

    model = Model("m", np.float32(0.5), 1, np.int64(7), np.int32(100), [np.int64(8), 1])
    assert model == Model("m", 0.5, 1.0, 7.0, 100, (1, 8))
    assert type(model.price_in) is float
    assert type(model.context_window) is int
    assert all(type(size) is int for size in model.batch_sizes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "model name is ''"),
        ({"name": " "}, "model name is ' '"),
        ({"name": "a|b"}, "without '|'"),
        ({"name": 3}, "model name is 3"),
        ({"price_in": -1}, "price_in of model 'm' is -1"),
        ({"price_out": math.nan}, "price_out of model 'm' is nan"),
        ({"price_out": math.inf}, "price_out of model 'm' is inf"),
        ({"price_in": "1"}, "price_in of model 'm' is '1'"),
        ({"price_in": True}, "price_in of model 'm' is True"),
        ({"shared_tokens": -5}, "shared_tokens of model 'm' is -5"),
        ({"context_window": 0}, "context_window of model 'm' is 0"),
        ({"context_window": 10.5}, "context_window of model 'm' is 10.5"),
        ({"batch_sizes": ()}, "batch_sizes of model 'm' is empty"),
        ({"batch_sizes": 4}, "batch_sizes of model 'm' is 4"),
        ({"batch_sizes": (1, 0)}, "a batch size of model 'm' is 0"),
        ({"batch_sizes": (1, 2.5)}, "a batch size of model 'm' is 2.5"),
        ({"batch_sizes": (2, 1, 2)}, "each batch size may stand only once"),
    ],
)
def test_bad_values_are_named(changes, message):
    with pytest.raises(InputError) as error:
        Model(**{"name": "m", "price_in": 1.0, "price_out": 1.0, **changes})
    assert message in str(error.value)


def test_replace_checks_again():
    model = Model("m", 1.0, 2.0)
    assert model.replace(price_in=3).price_in == 3.0
    assert model.price_in == 1.0
    with pytest.raises(InputError, match="price_in of model 'm' is -3"):
        model.replace(price_in=-3)


def test_a_model_is_frozen():
    with pytest.raises(AttributeError):
        Model("m", 1.0, 2.0).price_in = 5.0  # type: ignore[misc]


def test_a_state_reads_as_model_times_batch_size():
    assert str(State("m", 8)) == "m x 8"
    assert State("m", 8) == ("m", 8)
