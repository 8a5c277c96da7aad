"""What `python -m vllm.entrypoints.openai.api_server` looks like from outside, on the standard library alone.

It refuses a wrong key, answers every chat with its own process id, and dies when a prompt says so.
"""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = os.environ["VLLM_API_KEY"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer({"data": []})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = body["messages"][-1]["content"]
        if content == "die":
            os._exit(3)
        reply = {"role": "assistant", "content": f"{os.getpid()} {sorted(os.environ)}"}
        self.answer({"choices": [{"message": reply, "finish_reason": "stop"}]})

    def answer(self, value: object) -> None:
        good = self.headers["Authorization"] == f"Bearer {KEY}"
        body = json.dumps(value if good else {"error": "Unauthorized"}).encode()
        self.send_response(200 if good else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    print("fake vLLM:", " ".join(sys.argv[1:]), "key", KEY, flush=True)
    if "--broken" in sys.argv:
        sys.exit("ValueError: No available memory for the cache blocks")
    if "--slow" in sys.argv:
        ThreadingHTTPServer(("127.0.0.1", 0), Handler).serve_forever()
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
