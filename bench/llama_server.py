"""llama.cpp's server as a peer of the workloads: all programs at once, each request sent as soon as what it comes after
has ended, with the server's prompt cache (its slots' and the one in RAM).

The program is $ESPALIER_LLAMA_SERVER, else `llama-server` on PATH.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from typing import Any

SLOTS = 8
CONTEXT = 4096  # of a slot
START_SECONDS = 120


def program() -> str | None:
    return shutil.which(os.environ.get("ESPALIER_LLAMA_SERVER", "llama-server"))


class Server:
    """A server of its own for one workload, so that nothing is known before."""

    def __init__(self, path: str, model: str, threads: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close())
        self.process = subprocess.Popen(
            [path, "--model", model, "--threads", str(threads), "--threads-batch", str(threads), "--parallel",
             str(SLOTS), "--ctx-size", str(SLOTS * CONTEXT), "--host", "127.0.0.1", "--port", str(self.port)],
            stdout=self.log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        until = time.monotonic() + START_SECONDS
        while not self.healthy():
            if self.process.poll() is not None or time.monotonic() > until:
                self.log.seek(0)
                said = self.log.read()[-2000:].decode(errors="replace")
                self.close()
                raise RuntimeError(f"{path} did not start:\n{said}")
            time.sleep(0.1)

    def healthy(self) -> bool:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def complete(self, prompt: str, request: dict[str, Any]) -> dict[str, Any]:
        """Text, seconds to the first token, prompt tokens and those of them that were computed."""
        body: dict[str, Any] = {
            "prompt": prompt, "n_predict": request["max_tokens"], "temperature": 0, "cache_prompt": True,
            "stream": True,
        }  # fmt: skip
        if "schema" in request:
            body["json_schema"] = request["schema"]
        else:
            body["ignore_eos"] = True
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=3600)
        connection.request("POST", "/completion", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            raise RuntimeError(f"llama-server: {response.status} {response.read()[:500]!r}")
        text, first, last = "", math.nan, {}
        for line in response:
            if not line.startswith(b"data: "):
                continue
            last = json.loads(line[6:])
            if math.isnan(first) and last.get("content"):
                first = time.monotonic() - began
            text += last.get("content", "")
        timings = last["timings"]
        return {
            "text": text, "first": first, "computed": timings["prompt_n"],
            "prompt": timings["prompt_n"] + timings.get("cache_n", 0),
        }  # fmt: skip

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.log.close()


def run(path: str, model: str, threads: int, programs: list[dict[str, Any]]) -> dict[str, Any]:
    """Seconds of all programs, times to first tokens, and the share of the prompts' tokens that was found."""
    server = Server(path, model, threads)
    answers: list[dict[str, Any]] = []
    failures: list[Exception] = []

    def request(requests: list[dict[str, Any]], index: int, before: str) -> None:
        try:
            prompt = before + requests[index]["text"]
            answer = server.complete(prompt, requests[index])
            answers.append(answer)
            start(requests, [i for i, r in enumerate(requests) if r.get("after") == index], prompt + answer["text"])
        except Exception as error:  # whatever it is, the run is told and ends
            failures.append(error)

    def start(requests: list[dict[str, Any]], indices: list[int], before: str) -> None:
        threads = [threading.Thread(target=request, args=(requests, i, before)) for i in indices]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    try:
        server.complete("warm up", {"max_tokens": 1})
        began = time.monotonic()
        roots = [
            threading.Thread(
                target=start,
                args=(p["requests"], [i for i, r in enumerate(p["requests"]) if "after" not in r], ""),
            )
            for p in programs
        ]
        for root in roots:
            root.start()
        for root in roots:
            root.join()
        seconds = time.monotonic() - began
    finally:
        server.close()
    if failures:
        raise failures[0]
    firsts = sorted(a["first"] for a in answers if not math.isnan(a["first"]))
    return {
        "seconds": seconds,
        "first_p50": firsts[round(0.5 * (len(firsts) - 1))],
        "first_p99": firsts[round(0.99 * (len(firsts) - 1))],
        "hit_rate": 1 - sum(a["computed"] for a in answers) / sum(a["prompt"] for a in answers),
    }
