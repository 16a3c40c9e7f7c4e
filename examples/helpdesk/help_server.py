"""A small MCP server over stdin and stdout, with Python's own library alone: a help centre that can be searched."""

import json
import re
import sys

PASSAGES = [
    "Goods can be returned within 30 days, with the receipt.",
    "Delivery takes 3 to 5 days and costs 4 euros; it is free from 50 euros.",
    "Furniture has a warranty of 2 years, lamps of 1 year.",
    "A lamp that arrives broken is replaced; keep the box.",
]
TOOL = {
    "name": "search",
    "description": "Finds passages of the help centre.",
    "inputSchema": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
}


def words(text: str) -> set[str]:
    return {word.rstrip("s") for word in re.findall(r"[a-z]{4,}", text.lower())}


def search(query: str) -> list[str]:
    found = [(len(words(query) & words(passage)), passage) for passage in PASSAGES]
    return [passage for count, passage in sorted(found, key=lambda one: -one[0]) if count > 0][:2]


def answer(method: str, params: dict[str, object]) -> dict[str, object] | None:
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "helpdesk", "version": "1.0"},
        }
    if method == "tools/list":
        return {"tools": [TOOL]}
    if method == "tools/call" and params["name"] == "search":
        arguments = dict(params.get("arguments") or {})
        return {"content": [{"type": "text", "text": json.dumps(search(str(arguments["query"])))}]}
    return {} if method == "ping" else None


for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message or "method" not in message:
        continue
    result = answer(message["method"], message.get("params") or {})
    response: dict[str, object] = {"jsonrpc": "2.0", "id": message["id"]}
    if result is None:
        response["error"] = {"code": -32601, "message": "method not found"}
    else:
        response["result"] = result
    print(json.dumps(response), flush=True)
