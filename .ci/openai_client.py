"""OpenAI's own client for Python against `octavo serve`: python3 .ci/openai_client.py, after npm run build."""

import json
import subprocess
import sys

import openai

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "save", "parameters": PERSON}}


def check(condition, found):
    if not condition:
        raise AssertionError(f"found {found!r}")


def is_person(text):
    person = json.loads(text)
    return set(person) == {"name", "age"} and len(person["name"]) <= 8 and person["age"] <= 99


def models(client):
    check([model.id for model in client.models.list()] == ["demo"], client.models.list())


def chat(client):
    whole = client.chat.completions.create(model="demo", messages=QUESTION, temperature=0)
    check("Paris" in whole.choices[0].message.content, whole)
    check(whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens, whole)
    stream = client.chat.completions.create(
        model="demo", messages=QUESTION, temperature=0, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    check(text == whole.choices[0].message.content, text)
    check(chunks[-1].usage.completion_tokens == whole.usage.completion_tokens, chunks[-1])


def completion(client):
    extra = {"top_k": 5, "ignore_eos": True}
    answer = client.completions.create(model="demo", prompt=["Once", "The"], n=2, max_tokens=5, extra_body=extra)
    check([choice.index for choice in answer.choices] == [0, 1, 2, 3], answer)
    check(answer.usage.completion_tokens == 20, answer.usage)


def tools(client):
    for stream in (False, True):
        arguments = {"tools": [TOOL], "tool_choice": "required", "max_tokens": 200, "stream": stream}
        answer = client.chat.completions.create(model="demo", messages=QUESTION, **arguments)
        if stream:
            deltas = [chunk.choices[0].delta for chunk in answer if chunk.choices]
            calls = [call for delta in deltas for call in delta.tool_calls or []]
        else:
            calls = answer.choices[0].message.tool_calls
            check(answer.choices[0].finish_reason == "tool_calls", answer)
        check([call.function.name for call in calls if call.function.name] == ["save"], calls)
        check(is_person("".join(call.function.arguments for call in calls)), calls)


def structured(client):
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}
    answer = client.chat.completions.create(model="demo", messages=QUESTION, max_tokens=200, response_format=form)
    check(is_person(answer.choices[0].message.content), answer)


def errors(client):
    for expected, arguments in (
        (openai.BadRequestError, {"model": "demo", "messages": QUESTION, "top_p": 7}),
        (openai.BadRequestError, {"model": "demo", "messages": QUESTION, "extra_body": {"temprature": 1}}),
        (openai.NotFoundError, {"model": "another", "messages": QUESTION}),
    ):
        try:
            check(False, client.chat.completions.create(**arguments))
        except expected as error:
            check(error.body["message"] and error.body["type"] == "invalid_request_error", error.body)
    try:
        check(False, client.with_options(api_key="wrong").models.list())
    except openai.AuthenticationError as error:
        check(error.code == "invalid_api_key", error)


def embeddings(client):
    vectors = client.embeddings.create(model="demo", input=["a cat", "a dog"]).data
    floats = client.embeddings.create(model="demo", input="a cat", encoding_format="float").data[0]
    check(len(vectors) == 2 and vectors[0].embedding == floats.embedding, len(vectors))
    check(abs(sum(x * x for x in floats.embedding) - 1) < 1e-5, floats)


def responses(client):
    whole = client.responses.create(model="demo", input="What is the capital of France?", temperature=0)
    check(whole.status == "completed" and "Paris" in whole.output_text, whole)
    check(client.responses.retrieve(whole.id).output_text == whole.output_text, whole.id)
    stream = client.responses.create(model="demo", input="What is the capital of France?", temperature=0, stream=True)
    events = list(stream)
    check(events[0].type == "response.created" and events[-1].type == "response.completed", events[-1])
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    check(text == whole.output_text, text)


def main():
    command = ["node", "dist/cli/main.js", "serve", "demo", "--port", "0", "--api-key", "secret", "--no-log-requests"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            address = next(entry["address"] for entry in map(json.loads, server.stdout) if entry["msg"] == "ready")
            client = openai.OpenAI(base_url=f"{address}/v1", api_key="secret", max_retries=0, timeout=30)
            for test in (models, chat, completion, tools, structured, errors, embeddings, responses):
                test(client)
                print(f"openai {openai.__version__}: {test.__name__} ok")
        finally:
            server.terminate()
    return server.returncode


sys.exit(main())
