"""The dry run: what it counts is what the run then asks."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from robatch.cli import main
from robatch.instances import InputError
from robatch.proxies import read_config
from robatch.proxies.profiling.estimate import TooLong, as_json, estimate
from robatch.proxies.profiling.model_config import ModelConfig
from robatch.proxies.profiling.provenance import config_hash, identity
from robatch.proxies.profiling.record import Record
from robatch.proxies.profiling.run import record_path
from robatch.proxies.profiling.sampling import cells_of
from tests.proxies.configs import config_text

CONFIG = config_text(
    'generate = "reviews"\nqueries = 10\nmax_output_tokens = 6', 'generate = "arithmetic"\nqueries = 5',
    run="batch_sizes = [1, 4]\nrepeats = 2", price_in=2.0, price_out=10.0,
)  # fmt: skip


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def test_calls_tokens_and_dollars(config):
    reviews, sums = estimate(read_config(config))
    assert (reviews.task, reviews.calls) == ("reviews", 1 + 2 * (10 + 3))
    assert (sums.task, sums.calls) == ("arithmetic", 1 + 2 * (5 + 2))
    assert reviews.output_tokens == 1 + 2 * 2 * 10 * 6
    assert reviews.counted == "4 bytes a token"
    task = read_config(config).tasks[0]
    shared, texts = len(task.template.shared()), sum(len(query.text) for query in task.queries)
    assert reviews.input_tokens > (reviews.calls * shared + 4 * texts) / 4
    assert reviews.usd == (2 * reviews.input_tokens + 10 * reviews.output_tokens) / 1e6
    total = as_json((reviews, sums))["total"]
    assert total["calls"] == reviews.calls + sums.calls
    assert total["usd"] == reviews.usd + sums.usd


def test_dollars_are_rounded_as_in_recorded_provenance():
    model = ModelConfig("m", 0.1, 0.2, 1024, (1,))
    assert model.cost(1234, 57) == (0.1 * 1234 + 0.2 * 57) / 1e6 != (0.1 * 1234 + 0.2 * 57) * 1e-6


def test_a_tokenizer_at_hand_counts(config, tmp_path):
    import tokenizers

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    words.save(str(folder / "tokenizer.json"))
    config.write_text(CONFIG.replace('server = "http://127.0.0.1:9/v1"\nmodel = "m"', 'path = "model"'))
    found = estimate(read_config(config))[1]
    task = read_config(config).tasks[1]
    shared, slots = len(task.template.shared().split()), sum(1 + len(query.text.split()) for query in task.queries)
    assert found.counted == "tokenizer"
    assert found.input_tokens == found.calls * shared + 2 * 2 * slots


def test_queries_by_batch_size_are_counted(config):
    text = CONFIG.replace("max_output_tokens = 6", "max_output_tokens = 6\nqueries_by_batch_size = {4 = 6}")
    config.write_text(text, encoding="utf-8")
    reviews, _ = estimate(read_config(config))
    assert reviews.calls == 1 + 2 * (10 + 2)
    assert reviews.output_tokens == 1 + 2 * (10 + 6) * 6


def test_what_is_recorded_is_not_to_be_done(config, tmp_path):
    checked, output = read_config(config), tmp_path / "m.parquet"
    whole = estimate(checked, output)
    assert whole == estimate(checked)
    hashed = config_hash(checked, {"m": identity(checked.models[0])})
    with Record(record_path(output), hashed) as record:
        record.append({"opened": "m", "about": {}})
        for call in cells_of(checked, checked.models[0])[1].rounds[0][:2]:
            record.append(call.key._asdict() | {"scores": [1.0] * 4})
    before = record_path(output).read_bytes()
    reviews, sums = estimate(checked, output)
    assert (reviews.done, reviews.calls) == (2, whole[0].calls - 3)
    assert (sums.done, sums.calls) == (0, whole[1].calls - 1)
    assert reviews.output_tokens == whole[0].output_tokens - 1 - 2 * 4 * 6
    assert reviews.input_tokens < whole[0].input_tokens
    assert record_path(output).read_bytes() == before
    shown = CliRunner().invoke(main, ["profile", str(config), "--dry-run", "-o", str(output), "--json"])
    assert json.loads(shown.output)["total"]["done"] == 2
    config.write_text(CONFIG.replace("queries = 10", "queries = 11"), encoding="utf-8")
    with pytest.raises(InputError, match="another configuration"):
        estimate(read_config(config), output)


def test_adaptive_cells_that_stopped_have_nothing_to_do(config, tmp_path):
    config.write_text(CONFIG.replace("repeats = 2", "precision = 0.1").replace("= 10\n", "= 64\n", 1), encoding="utf-8")
    checked, output = read_config(config), tmp_path / "m.parquet"
    hashed = config_hash(checked, {"m": identity(checked.models[0])})
    with Record(record_path(output), hashed) as record:
        for cell in cells_of(checked, checked.models[0])[:2]:
            for call in cell.rounds[0]:
                record.append(call.key._asdict() | {"scores": [1.0] * len(call.members)})
    reviews, sums = estimate(checked, output)
    assert (reviews.done, reviews.calls) == (32 + 8, 1)
    assert sums.calls == 1 + 5 + 2


def test_the_command_needs_no_output_and_asks_nobody(config):
    runner = CliRunner()
    shown = runner.invoke(main, ["profile", str(config), "--dry-run"])
    assert shown.exit_code == 0, shown.output
    assert "at most" in shown.output
    assert "At 4 bytes a token" in shown.output
    printed = runner.invoke(main, ["profile", str(config), "--dry-run", "--json"])
    assert json.loads(printed.output)["total"]["calls"] == 27 + 15
    missing = runner.invoke(main, ["profile", str(config)])
    assert missing.exit_code == 2
    assert "--output" in missing.output


def test_calls_beyond_the_context_window_are_named(config):
    config.write_text(CONFIG.replace("context_window = 1024", "context_window = 200"), encoding="utf-8")
    checked = read_config(config)
    rows = estimate(checked)
    (long,), task = rows[0].too_long, checked.tasks[0]
    cell = cells_of(checked, checked.models[0])[1]
    prompts = [task.template.render([task.queries[i] for i in call.members]) for call in cell.rounds[0]]
    tokens = [
        -(-len(prompt.encode()) // 4) + 6 * len(call.members)
        for prompt, call in zip(prompts, cell.rounds[0], strict=True)
    ]
    assert long == TooLong(4, sum(found > 200 for found in tokens), max(tokens), 200)
    shown = CliRunner().invoke(main, ["profile", str(config), "--dry-run"])
    assert shown.exit_code == 0
    assert f"task reviews, model m, batch size 4: {long.calls} calls, the longest ~{long.tokens:,} tokens of 200" in (
        shown.output
    )
    told = CliRunner().invoke(main, ["profile", str(config), "--dry-run", "--json"])
    first = json.loads(told.output)["estimates"][0]
    assert [TooLong(**found) for found in first["too_long"]] == [long]
    config.write_text(CONFIG, encoding="utf-8")
    assert "Too long" not in CliRunner().invoke(main, ["profile", str(config), "--dry-run"]).output


def test_the_answers_that_are_allowed_count_and_vllm_may_be_told_less(config):
    text = CONFIG.replace("max_output_tokens = 6", "max_output_tokens = 2000")
    config.write_text(text, encoding="utf-8")
    assert [(long.batch_size, long.calls) for long in estimate(read_config(config))[0].too_long] == [(1, 20), (4, 6)]
    text = CONFIG.replace('server = "http://127.0.0.1:9/v1"\nmodel = "m"', 'path = "a/b"')
    config.write_text(text + "engine = { max_model_len = 64 }\n", encoding="utf-8")
    assert {long.window for row in estimate(read_config(config)) for long in row.too_long} == {64}


def test_a_folder_that_is_missing_is_estimated_and_named(config, tmp_path):
    text = CONFIG.replace('server = "http://127.0.0.1:9/v1"\nmodel = "m"', 'path = "nowhere"')
    config.write_text(text, encoding="utf-8")
    shown = CliRunner().invoke(main, ["profile", str(config), "--dry-run"])
    assert shown.exit_code == 0, shown.output
    assert "At 4 bytes a token" in shown.output
    assert "Folders of models that are missing: nowhere." in shown.output
    assert "ROBATCH_MODELS" in shown.output
    told = json.loads(CliRunner().invoke(main, ["profile", str(config), "--dry-run", "--json"]).output)
    assert told["missing_models"] == {"m": "nowhere"}
    assert {row["counted"] for row in told["estimates"]} == {"4 bytes a token"}
    run = CliRunner().invoke(main, ["profile", str(config), "-o", str(tmp_path / "m.parquet")])
    assert run.exit_code == 2
    assert "'nowhere': there is no such folder" in run.output
    record_path(tmp_path / "m.parquet").write_text("{}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"model 'm' cannot be compared with those of '.*m\.parquet'"):
        estimate(read_config(config, allow_missing=True), tmp_path / "m.parquet")
