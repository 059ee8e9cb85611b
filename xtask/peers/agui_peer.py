"""An AG-UI agent that others wrote: pydantic-ai behind uvicorn, with a model that is a function instead of weights.

Says "listening on http://127.0.0.1:PORT" and serves POST /agent until it is ended. The last message decides the answer:

    greet   text with letters of many scripts      front   a call of the front end's tool `pick_color`
    fail    some text, then an error               back    a call of a tool of its own, and a text about its result
    whoami  the headers that say for whom this runs
"""

import base64
import hashlib
import hmac
import json
import os
import socket
import time
from urllib.parse import unquote

import uvicorn
from pydantic_ai import Agent, RunContext
from pydantic_ai.messages import ModelRequest, ToolReturnPart, UserPromptPart
from pydantic_ai.models.function import DeltaToolCall, FunctionModel
from pydantic_ai.ui.ag_ui import AGUIAdapter
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

GREETING = ["Grüße, ", "👋 ", "世界", ": \u2028", "e\u0301 \"quoted\" \\ back"]


def verified(token, secret, audience):
    """The claims of a token that Lychgate signed for this agent; an exception for any other token."""
    signed, _, signature = token.rpartition(".")
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in signed.split("."))
    expected = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    if header["alg"] != "HS256" or not hmac.compare_digest(expected, base64.urlsafe_b64decode(signature + "==")):
        raise ValueError("the token was not signed with our secret")
    if claims["iss"] != "lychgate" or claims["aud"] != audience or claims["exp"] < time.time():
        raise ValueError("the token was not made for us, or has expired")
    return claims


def last_words(messages):
    parts = [part for message in messages if isinstance(message, ModelRequest) for part in message.parts]
    asked = next(part.content for part in reversed(parts) if isinstance(part, UserPromptPart))
    result = parts[-1] if isinstance(parts[-1], ToolReturnPart) else None
    return asked if isinstance(asked, str) else "".join(filter(lambda part: isinstance(part, str), asked)), result


async def answer(messages, info):
    asked, result = last_words(messages)
    if result is not None:
        yield f"{result.tool_name} gave {result.content}"
    elif asked == "greet":
        for piece in GREETING:
            yield piece
    elif asked == "front":
        assert any(tool.name == "pick_color" for tool in info.function_tools), info.function_tools
        yield {0: DeltaToolCall(name="pick_color", tool_call_id="call_front")}
        for piece in ['{"among":', '["red",', '"blue"]}']:
            yield {0: DeltaToolCall(json_args=piece)}
    elif asked == "back":
        yield {0: DeltaToolCall(name="add", json_args='{"a": 1, "b": 2}', tool_call_id="call_back")}
    elif asked == "whoami":
        yield "{whoami}"
    else:
        yield "This sentence ends in "
        raise RuntimeError("the model fell asleep")


async def respond(request):
    headers = request.headers
    if "x-lychgate-user" not in headers:
        return Response("nobody to work for", status_code=500)
    who = {"user": unquote(headers["x-lychgate-user"]), "plan": unquote(headers.get("x-lychgate-plan", ""))}
    if token := headers.get("x-lychgate-identity"):
        who["claims"] = verified(token, os.environ["AGENT_SECRET"].encode(), os.environ["AGENT_NAME"])

    async def with_identity(messages, info):
        async for piece in answer(messages, info):
            yield json.dumps(who, ensure_ascii=False) if piece == "{whoami}" else piece

    agent = Agent(FunctionModel(stream_function=with_identity))

    @agent.tool
    def add(_: RunContext, a: int, b: int) -> int:
        return a + b

    return await AGUIAdapter.dispatch_request(request, agent=agent)


if __name__ == "__main__":
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    app = Starlette(routes=[Route("/agent", respond, methods=["POST"])])
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
