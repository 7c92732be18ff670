"""The server engine against a real HTTP server on this machine that speaks enough of the OpenAI protocol."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import polars
import pytest

from robatch.instances import InputError
from robatch.proxies.engines.engine import CONTENT_ERROR, CONTEXT_ERROR, EngineFailure, ModelCall
from robatch.proxies.engines.server import ServerEngine
from tests.proxies.llm_server import Server as LlmServer

KEY = "sk-secret-0123456789"


class Server:
    """Answers each prompt with itself; `faults` holds what to do first with a prompt, in order."""

    def __init__(self) -> None:
        self.faults: dict[str, list] = {}
        self.requests: list[dict] = []
        self.delay = 0.0
        self.most = self.now = 0
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                prompt = body["messages"][0]["content"] if "messages" in body else body["prompt"]
                with outer.lock:
                    outer.requests.append(body | {"path": self.path, "key": self.headers["Authorization"]})
                    outer.now += 1
                    outer.most = max(outer.most, outer.now)
                    todo = outer.faults.get(prompt, [])
                    fault = todo.pop(0) if todo else None
                time.sleep(outer.delay)
                with outer.lock:
                    outer.now -= 1
                try:
                    self.reply(prompt, fault, "messages" in body)
                except OSError:
                    self.close_connection = True  # the client has gone away

            def reply(self, prompt, fault, chat):
                if fault == "drop":
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                if fault == "half":
                    self.send_response(200)
                    self.send_header("Content-Length", "1000")
                    self.end_headers()
                    self.wfile.write(b'{"choices": [')
                    self.close_connection = True
                    return
                if fault == "hang":
                    time.sleep(1.0)
                status, headers, record = 200, {}, None
                if isinstance(fault, tuple):
                    status, headers, record = fault
                if record is None:
                    said = {"message": {"role": "assistant", "content": prompt}} if chat else {"text": prompt}
                    record = {
                        "id": "1",
                        "object": "chat.completion" if chat else "text_completion",
                        "created": 0,
                        "model": "echo",
                        "choices": [{"index": 0, "finish_reason": "stop", **said}],
                        "usage": {"prompt_tokens": len(prompt), "completion_tokens": 2, "total_tokens": 0},
                    }
                data = record if isinstance(record, bytes) else json.dumps(record).encode()
                self.send_response(status)
                for name, value in ({"Content-Type": "application/json"} | headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"


def error(status, message="no", **headers):
    """Refuse with a status and ask to be called again after 5 ms."""
    return status, {"Retry-After-Ms": "5"} | headers, {"error": {"message": message}}


@pytest.fixture
def server():
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("ROBATCH_TEST_KEY", KEY)


def engine(server, **settings):
    url = server if isinstance(server, str) else server.url
    return ServerEngine(url, "echo", api_key_env="ROBATCH_TEST_KEY", **settings)


def calls(*prompts):
    return [ModelCall(prompt, 8) for prompt in prompts]


def engine_threads():
    """Give the threads that are neither pytest's nor the test server's nor a progress bar's."""
    return [
        thread
        for thread in threading.enumerate()
        if thread is not threading.main_thread()
        and not any(name in thread.name for name in ("process_request", "serve_forever", "tqdm_monitor"))
    ]


def test_every_answer_belongs_to_its_call_and_no_more_than_allowed_are_in_flight(server):
    server.delay = 0.02
    prompts = [f"prompt {i}" for i in range(24)]
    answers = dict(engine(server, concurrency=3).run(calls(*prompts)))
    assert sorted(answers) == list(range(24))
    assert [answers[i].text for i in range(24)] == prompts
    assert answers[0].input_tokens == len("prompt 0")
    assert answers[0].output_tokens == 2
    assert answers[0].retries == 0
    assert server.most == 3


def test_answers_come_as_they_arrive(server):
    server.faults["slow"] = ["hang"]
    order = [index for index, _ in engine(server, concurrency=2).run(calls("slow", "a", "b"))]
    assert order == [1, 2, 0]


def test_answers_that_are_not_taken_hold_back_further_calls(server):
    run = engine(server, concurrency=2).run(calls(*(f"p{i}" for i in range(9))))
    next(run)
    time.sleep(0.2)
    assert len(server.requests) == 2
    next(run)
    time.sleep(0.2)
    assert len(server.requests) == 3
    run.close()


def test_passing_faults_are_retried_and_counted(server):
    server.faults = {
        "busy": [error(429), error(503)],
        "broken": [error(500)],
        "dropped": ["drop"],
        "half": ["half"],
        "seconds": [(429, {"Retry-After": "0.01"}, {"error": {"message": "no"}})],
    }
    prompts = list(server.faults)
    answers = dict(engine(server).run(calls(*prompts, "fine")))
    assert [answers[i].text for i in range(6)] == [*prompts, "fine"]
    assert [answers[i].retries for i in range(6)] == [2, 1, 1, 1, 1, 0]


def test_a_try_that_takes_too_long_is_given_up_and_made_again(server):
    server.faults["slow"] = ["hang"]
    ((_, answer),) = engine(server, timeout=0.2).run(calls("slow"))
    assert answer.text == "slow"
    assert answer.retries == 1


def test_the_call_is_sent_as_asked(server):
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    asked = [
        ModelCall("a", 5, regex="A1: (x|y)"),
        ModelCall("b", 6, schema=schema, stop=("\nQ",)),
        ModelCall("c", 7),
    ]
    list(engine(server, concurrency=1, seed=3).run(asked))
    list(engine(server, chat=False).run(asked[:1]))
    first, second, third, plain = server.requests
    assert first["structured_outputs"] == {"regex": "A1: (x|y)"}
    assert second["structured_outputs"] == {"json": schema}
    assert second["stop"] == ["\nQ"]
    assert "structured_outputs" not in third
    assert (first["max_tokens"], first["temperature"], first["seed"], first["model"]) == (5, 0.0, 3, "echo")
    assert first["key"] == f"Bearer {KEY}"
    assert (first["path"], plain["path"]) == ("/v1/chat/completions", "/v1/completions")


def test_a_call_that_does_not_fit_is_its_own_error(server):
    said = "This model's maximum context length is 128 tokens."
    server.faults["long"] = [(400, {}, {"error": {"message": said}})]
    answers = dict(engine(server).run(calls("long", "short")))
    assert answers[0].error == CONTEXT_ERROR
    assert answers[0].finish_reason == "error"
    assert answers[1].text == "short"


def test_a_prompt_that_a_filter_refuses_is_its_own_error(server):
    server.faults["rude"] = [(400, {}, {"error": {"message": "no", "code": "content_filter"}})]
    answers = dict(engine(server).run(calls("rude", "kind")))
    assert (answers[0].error, answers[0].input_tokens) == (CONTENT_ERROR, 0)
    assert answers[1].text == "kind"


@pytest.mark.parametrize(
    ("fault", "whose", "billed"),
    [(error(429), "passing", False), (error(400), "call", False), (error(418), "call", False)]
    + [(fault, "passing", True) for fault in (error(500), error(503), error(408), "hang", "drop", "half")],
)
def test_the_fault_of_one_call_is_its_own_and_it_is_known_whether_it_may_be_billed(server, fault, whose, billed):
    server.faults["bad"] = [fault] * 9
    run = engine(server, concurrency=1, timeout=0.4, retries=2, retry_billed=False).run(calls("a", "bad", "later"))
    answers = dict(run)
    assert [answers[i].text for i in range(3)] == ["a", "", "later"]
    assert (answers[1].fault, answers[1].finish_reason) == (whose, "error")
    assert (answers[1].input_tokens, answers[1].output_tokens) == ((None, None) if billed else (0, 0))
    tries = sum(request["messages"][0]["content"] == "bad" for request in server.requests)
    assert tries == (3 if fault == error(429) else 1)


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_what_every_call_would_meet_ends_the_run_at_once_and_is_not_billed(server, status):
    server.faults["bad"] = [error(status)] * 9
    run = engine(server, concurrency=1).run(calls("a", "bad", "later"))
    assert next(run)[0] == 0
    with pytest.raises(EngineFailure) as raised:
        list(run)
    assert raised.value.unknown == frozenset()
    assert not raised.value.passes
    assert "a rerun continues" not in str(raised.value)
    assert len(server.requests) == 2


def test_calls_that_fail_one_after_the_other_end_the_run_after_what_was_answered(server):
    prompts = ["a", "b", *(f"later {i}" for i in range(50))]
    server.faults = {prompt: [error(500)] * 9 for prompt in prompts[2:]}
    answers = {}

    def take():
        for index, answer in engine(server, concurrency=4, retries=1).run(calls(*prompts)):
            answers[index] = answer

    with pytest.raises(InputError, match=r"4 calls in a row failed.*; a rerun continues") as raised:
        take()
    assert [answers[i].text for i in (0, 1)] == ["a", "b"]
    assert all(answer.fault == "passing" for index, answer in answers.items() if index > 1)
    assert len(server.requests) == 2 + 2 * (len(answers) - 2), "what was sent was taken, each bad call twice"
    assert len(server.requests) < 20
    assert len(str(raised.value).splitlines()) == 1
    assert engine_threads() == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (error(401, f"Incorrect API key provided: {KEY}"), "refused the API key"),
        (error(403, f"{KEY} may not"), "ROBATCH_TEST_KEY"),
        (error(400, f"I dislike {KEY}"), "dislike"),
        (error(500, f"crashed on Bearer {KEY}"), "crashed"),
        (error(404, KEY), "does not know the model 'echo'"),
        ((200, {"Content-Type": "text/html"}, KEY.encode()), "other than a completion"),
        ((200, {}, KEY.encode()), "other than a completion"),
        ((200, {}, {"choices": [], "key": KEY}), "no choice"),
        ((200, {}, {"error": {"message": f"no {KEY}"}}), "without a completion"),
    ],
)
def test_no_error_shows_the_key(server, fault, words):
    server.faults["a"] = [fault] * 3
    try:
        ((_, answer),) = engine(server, retries=0).run(calls("a"))
        shown = repr(answer)
    except InputError as raised:
        shown = "".join(traceback.format_exception(raised))
    assert words in shown
    assert KEY not in shown
    assert "sk-secret" not in shown
    assert KEY not in json.dumps(engine(server).describe())


def test_what_a_server_tells_about_its_model_is_described(server):
    class Told(server.http.RequestHandlerClass):
        def do_GET(self):  # noqa: N802
            model = {
                "id": "echo",
                "root": "/srv/models/echo-7b",
                "max_model_len": 2048,
                "created": time.time(),
            }
            models = {"data": [{"id": "other", "root": "x"}, model | {"permission": [{"id": "p"}]}]}
            found = {"/v1/models": models, "/version": {"version": "0.1"}}[self.path]
            right = self.headers["Authorization"] == f"Bearer {KEY}"
            data = json.dumps(found if right else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    assert engine(server).describe()["served"] is None, "a server without such a list"
    server.http.RequestHandlerClass = Told
    about = engine(server).describe()
    assert about["served"] == {"id": "echo", "root": "echo-7b", "max_model_len": 2048}
    assert about["vllm"] == "0.1"
    assert about == engine(server).describe(), "what changes at every start is left out"


def test_a_key_that_is_none_and_a_password_in_the_address_are_refused(server, monkeypatch):
    with pytest.raises(InputError, match="ROBATCH_TEST_KEY") as raised:
        engine("http://me:hidden@127.0.0.1:9/v1")
    assert "hidden" not in str(raised.value)
    monkeypatch.setenv("ROBATCH_TEST_KEY", "sk-\u00e9\nx")
    with pytest.raises(InputError, match="no API key") as raised:
        engine(server)
    assert "sk-" not in str(raised.value)


def test_a_dead_server_is_one_sentence():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(InputError, match="cannot be reached, in 2 tries") as raised:
        list(engine(url, retries=1).run(calls("a", "b")))
    assert url in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert engine_threads() == []


@pytest.mark.parametrize("ending", ["close", KeyboardInterrupt])
def test_a_run_that_is_ended_early_leaves_no_thread(server, ending):
    assert engine_threads() == []
    server.faults = {f"p{i}": ["hang"] for i in range(2, 9)}
    run = engine(server, concurrency=4).run(calls(*(f"p{i}" for i in range(9))))
    next(run)
    assert engine_threads(), "the run is under way in a thread of its own"
    if ending == "close":
        run.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            run.throw(KeyboardInterrupt())
    assert engine_threads() == []
    assert len(server.requests) < 9
    assert dict(engine(server).run(calls("again")))[0].text == "again", "a later run is not touched"


def test_no_calls_no_answers():
    assert list(engine("http://127.0.0.1:9/v1").run([])) == []


@pytest.fixture
def keyboard():
    """Let Ctrl-C interrupt, also where the tests were started by a shell that has SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interruption_ends_a_wait_also_where_polars_is_loaded(keyboard):
    assert polars.__version__  # its handler lets waits go on: findings/polars-interrupt.sh
    released, ended = threading.Event(), threading.Event()

    def answer(body):
        threading.Timer(0.1, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
        released.wait(20)
        ended.set()
        return 503, {}

    with LlmServer() as server:
        server.answer = answer
        with pytest.raises(KeyboardInterrupt):
            next(ServerEngine(server.url, "m", concurrency=1).run([ModelCall("a", 1)]))
        assert not ended.is_set(), "it waited for the answer"
        released.set()
