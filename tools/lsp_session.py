#!/usr/bin/env python3
"""Writes docs/lsp-session.md: a program written from nothing with `espalier lsp`, as an editor would show it.

Every answer in the page is the server's own.  `lsp_session.py PROGRAM` writes the page; with --check it changes
nothing and exits 1 where the page is not what the server says today.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "lsp-session.md"
URI = "file:///work/ticket.gen"
KINDS = {14: "keyword", 10: "option", 22: "type", 3: "function", 5: "field", 13: "enum", 20: "case", 6: "variable"}


def place(text: str, offset: int) -> dict:
    """A position as LSP has it; the program is ASCII."""
    before = text[:offset]
    return {"line": before.count("\n"), "character": len(before) - (before.rfind("\n") + 1)}


class Client:
    """The few messages that this page needs, over the server's pipes."""

    def __init__(self, program: str) -> None:
        self.server = subprocess.Popen([program, "lsp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.id = 0
        self.version = 0
        self.diagnostics = []
        self.request("initialize", {"capabilities": {"general": {"positionEncodings": ["utf-8"]}}})
        self.notify("initialized", {})

    def send(self, message: dict) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.server.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.server.stdin.flush()

    def read(self) -> dict:
        length = 0
        while line := self.server.stdout.readline().strip():
            name, value = line.split(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return json.loads(self.server.stdout.read(length))

    def notify(self, method: str, params: dict) -> None:
        self.send({"method": method, "params": params})

    def request(self, method: str, params: dict | None) -> object:
        self.id += 1
        self.send({"id": self.id, "method": method, "params": params})
        while True:
            message = self.read()
            if message.get("id") == self.id:
                if "error" in message:
                    return message["error"]["message"]
                return message["result"]
            if message.get("method") == "textDocument/publishDiagnostics":
                self.diagnostics = message["params"]["diagnostics"]

    def write(self, text: str) -> list:
        """The document is now `text`; its diagnostics."""
        self.version += 1
        if self.version == 1:
            document = {"uri": URI, "languageId": "gen", "version": 1, "text": text}
            self.notify("textDocument/didOpen", {"textDocument": document})
        else:
            document = {"uri": URI, "version": self.version}
            self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [{"text": text}]})
        while True:
            message = self.read()
            params = message.get("params", {})
            if message.get("method") == "textDocument/publishDiagnostics" and params.get("version") == self.version:
                return params["diagnostics"]

    def at(self, method: str, text: str, offset: int, **more: object) -> object:
        where = {"textDocument": {"uri": URI}, "position": place(text, offset)}
        return self.request(f"textDocument/{method}", {**where, **more})

    def end(self) -> int:
        self.request("shutdown", None)
        self.notify("exit", {})
        return self.server.wait(10)


def edited(text: str, edits: list) -> str:
    """`text` after a list of LSP edits."""
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for edit in sorted(
        edits, key=lambda e: (e["range"]["start"]["line"], e["range"]["start"]["character"]), reverse=True
    ):
        start, end = edit["range"]["start"], edit["range"]["end"]
        begin = starts[start["line"]] + start["character"]
        stop = starts[end["line"]] + end["character"]
        text = text[:begin] + edit["newText"] + text[stop:]
    return text


class Page:
    def __init__(self, client: Client) -> None:
        self.client = client
        self.text = ""
        self.lines = [
            "# A program from nothing, with the language server",
            "",
            "What an editor shows while a program is written; every answer below is `espalier lsp`'s own",
            "(`tools/lsp_session.py` writes this page, and the tests compare it). `│` is the cursor.",
        ]

    def say(self, *lines: str) -> None:
        self.lines += ["", *lines]

    def block(self, text: str, language: str = "") -> None:
        self.say(f"```{language}", text.rstrip("\n"), "```")

    def type(self, text: str) -> int:
        """Shows the program as it now is, with its diagnostics; gives the cursor's place."""
        cursor = text.find("│")
        self.text = text.replace("│", "")
        found = self.client.write(self.text)
        self.block(text, "gen")
        for one in found:
            place = one["range"]["start"]
            severity = {1: "error", 2: "warning"}[one["severity"]]
            self.say(
                f"> {place['line'] + 1}:{place['character'] + 1} **{severity} {one['code']}** "
                + one["message"].replace("\n", "  \n> ")
            )
            for note in one.get("relatedInformation", []):
                start = note["location"]["range"]["start"]
                self.lines.append(f"> · {start['line'] + 1}:{start['character'] + 1} {note['message']}")
        if not found:
            self.say("> no errors, no warnings")
        return cursor

    def complete(self, offset: int, most: int = 8) -> None:
        items = self.client.at("completion", self.text, offset)["items"]
        shown = [f"`{i['label']}` ({i.get('detail') or KINDS[i['kind']]})" for i in items[:most]]
        rest = f", and {len(items) - most} more" if len(items) > most else ""
        self.say("Completion: " + ", ".join(shown) + rest + ".")

    def fixes(self, what: str) -> list:
        at = place(self.text, self.text.index(what))
        params = {"textDocument": {"uri": URI}, "range": {"start": at, "end": at}, "context": {"diagnostics": []}}
        return self.client.request("textDocument/codeAction", params)

    def hover(self, name: str) -> None:
        answer = self.client.at("hover", self.text, self.text.index(name))
        self.say(f"Hover over `{name}`:")
        self.lines += ["", *(("> " + line).rstrip() for line in answer["contents"]["value"].splitlines())]


def write_page(client: Client) -> str:
    page = Page(client)
    page.say("## A type for what comes out")
    page.say("An empty file. Completion at its first line has what a file is made of.")
    page.complete(page.type("│"), most=9)
    page.say("A record of two fields; the second one's type is being chosen.")
    page.complete(
        page.type("enum Team { billing, shipping, other }\n\nrecord Ticket {\n  summary: line\n  team: │\n}\n"), 5
    )

    page.say("## A generator")
    head = (
        "enum Team { billing, shipping, other }\n\nrecord Ticket {\n  summary: line\n  team: Team\n}\n\n"
        "/// Sort a customer's letter.\ngen sort_letter(letter: string) -> Ticket {\n"
        '  system "You sort letters."\n'
    )
    page.say("The letter goes into a user turn. A slip of the pen is said at once, with a fix.")
    page.type(head + '  user "${leter}"\n}\n')
    actions = page.fixes("leter")
    page.say(f"Its fix, “{actions[0]['title']}”, is taken.")
    fixed = edited(page.text, actions[0]["edit"]["changes"][URI])
    page.say("Then the model's turn: two holes, one behind the other.")
    page.type(
        fixed.rstrip("}\n")
        + "\n"
        + '  assistant "$[summary: string]$[team: select Team]"\n  return { summary, team }\n}\n'
    )
    actions = page.fixes("$[summary")
    page.say(f"The fix, “{actions[0]['title']}”, gives:")
    page.type(edited(page.text, actions[0]["edit"]["changes"][URI]))
    page.hover("summary: line]")
    page.hover("sort_letter")

    page.say("## Going on")
    page.say("A hole's own members, while the line is half written:")
    before = page.text
    cursor = before.index("  return")
    page.complete(page.type(before[:cursor] + "  require team.│\n" + before[cursor:]))
    page.say(
        "It is not needed. The name `summary` could say more: rename it to `gist`, and the field of the record stays."
    )
    client.write(before)
    page.text = before
    changes = client.at("rename", before, before.index("summary: line]"), newName="gist")
    page.type(edited(before, changes["changes"][URI]))
    page.say("A name that is taken is refused:")
    page.say("> " + str(client.at("rename", page.text, page.text.index("gist"), newName="letter")))
    page.say("Formatting is `espalier fmt`'s; the program is in order already:")
    page.say(f"> {len(client.request('textDocument/formatting', {'textDocument': {'uri': URI}, 'options': {}}))} edits")
    return "\n".join(page.lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="the espalier program")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    client = Client(options.program)
    page = write_page(client)
    if client.end() != 0:
        print("the server did not end well", file=sys.stderr)
        return 1
    if not options.check:
        PAGE.write_text(page)
    elif PAGE.read_text() != page:
        print(f"{PAGE} is not what the server says: tools/lsp_session.py writes it anew", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
