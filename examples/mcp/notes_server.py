"""A small MCP server over stdin and stdout, with nothing but Python's own library: the notes of a shop's help desk."""

import json
import sys

NOTES = {
    "returns": "Goods can be returned within 30 days, with the receipt.",
    "delivery": "Delivery takes 3 to 5 days and costs 4 euros; it is free from 50 euros.",
    "warranty": "Furniture has a warranty of 2 years, lamps of 1 year.",
}
TOOLS = [
    {
        "name": "topics",
        "description": "Lists the topics that there are notes on.",
        "inputSchema": {"type": "object", "properties": {}},
    },
    {
        "name": "note",
        "description": "Gives the note on a topic.",
        "inputSchema": {
            "type": "object",
            "properties": {"topic": {"type": "string", "description": "one of the topics"}},
            "required": ["topic"],
        },
    },
]


def call(name: str, arguments: dict[str, str]) -> dict[str, object]:
    if name == "topics":
        return {"content": [{"type": "text", "text": json.dumps(sorted(NOTES))}]}
    note = NOTES.get(arguments.get("topic", ""))
    if name != "note" or note is None:
        return {"content": [{"type": "text", "text": "there is no such note"}], "isError": True}
    return {"content": [{"type": "text", "text": note}]}


def answer(method: str, params: dict[str, object]) -> dict[str, object] | None:
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "notes", "version": "1.0"},
        }
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call":
        return call(str(params["name"]), dict(params.get("arguments") or {}))
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
