"""Talk to ${{ values.title }}: `python app.py "Say hello"`."""

import json
import os
import sys
import urllib.request

URL = os.environ.get("MODEL_URL", "${{ values.server }}/v1")
MODEL = os.environ.get("MODEL_NAME", "${{ values.model }}")
TOKEN = os.environ.get("MODEL_TOKEN", "")
TOKEN_IS_NEEDED = "${{ values.token }}" == "true"


def answer(question: str) -> str:
    """Return what the model says to a question."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": question}]}
    headers = {"Content-Type": "application/json"}
    if TOKEN:
        headers["Authorization"] = f"Bearer {TOKEN}"
    request = urllib.request.Request(f"{URL}/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as response:
        return json.load(response)["choices"][0]["message"]["content"]


if __name__ == "__main__":
    if TOKEN_IS_NEEDED and not TOKEN:
        sys.exit(f"{MODEL} asks for a bearer token: set MODEL_TOKEN")
    print(answer(" ".join(sys.argv[1:]) or "Say hello in one sentence."))
