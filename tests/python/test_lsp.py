"""The language server under a client that nobody here wrote (pytest-lsp, on pygls)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest_lsp = pytest.importorskip("pytest_lsp", reason="pytest-lsp is not installed: pip install pytest-lsp")
# Behind the skip: without pytest-lsp these are not there either.
from lsprotocol import types  # noqa: E402
from pytest_lsp import ClientServerConfig, LanguageClient, client_capabilities  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = ROOT / "build/bin/espalier"
pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason=f"{PROGRAM} is not built")

URI = "file:///work/a.gen"
DOCUMENT = types.TextDocumentIdentifier(uri=URI)
TEXT = """\
enum Mood { glad, sad }
gen mood(letter: string) -> { mood: Mood, p: float } {
  user "${letter}"
  assistant "$[m: select Mood]"
  return { mood: m, p: m.p }
}
"""


@pytest_lsp.fixture(
    params=["visual_studio_code", "neovim"], config=ClientServerConfig(server_command=[str(PROGRAM), "lsp"])
)
async def client(request: pytest.FixtureRequest, lsp_client: LanguageClient) -> AsyncIterator[None]:
    capabilities = client_capabilities(request.param)
    await lsp_client.initialize_session(types.InitializeParams(capabilities=capabilities))
    yield
    await lsp_client.shutdown_session()


def place(text: str, what: str) -> types.Position:
    before = text[: text.index(what)]
    return types.Position(line=before.count("\n"), character=len(before) - (before.rfind("\n") + 1))


async def write(client: LanguageClient, text: str) -> list[types.Diagnostic]:
    item = types.TextDocumentItem(uri=URI, language_id="gen", version=1, text=text)
    client.text_document_did_open(types.DidOpenTextDocumentParams(text_document=item))
    await client.wait_for_notification(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
    return list(client.diagnostics[URI])


async def test_what_is_wrong_is_told_as_it_is_written(client: LanguageClient) -> None:
    found = await write(client, TEXT.replace("${letter}", "${leter}"))
    assert [one.code for one in found] == ["E0101"]
    changed = types.DidChangeTextDocumentParams(
        text_document=types.VersionedTextDocumentIdentifier(uri=URI, version=2),
        content_changes=[
            types.TextDocumentContentChangePartial(
                range=types.Range(types.Position(2, 10), types.Position(2, 15)), text="letter"
            )
        ],
    )
    client.text_document_did_change(changed)
    await client.wait_for_notification(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
    assert list(client.diagnostics[URI]) == []


async def test_every_request_gives_what_the_protocol_says(client: LanguageClient) -> None:
    assert await write(client, TEXT) == []
    there = {"text_document": DOCUMENT, "position": place(TEXT, "m: select")}
    hover = await client.text_document_hover_async(types.HoverParams(**there))
    assert hover is not None and "hole m: Mood" in hover.contents.value
    items = await client.text_document_completion_async(
        types.CompletionParams(text_document=DOCUMENT, position=types.Position(4, 25))
    )
    assert {"p", "dist"} <= {item.label for item in items.items}
    target = await client.text_document_definition_async(
        types.DefinitionParams(text_document=DOCUMENT, position=place(TEXT, "m.p"))
    )
    assert target.range.start == place(TEXT, "m: select")
    uses = await client.text_document_references_async(
        types.ReferenceParams(**there, context=types.ReferenceContext(include_declaration=True))
    )
    assert len(uses) == 3
    renamed = await client.text_document_rename_async(types.RenameParams(**there, new_name="choice"))
    assert len(renamed.changes[URI]) == 3
    edits = await client.text_document_formatting_async(
        types.DocumentFormattingParams(DOCUMENT, types.FormattingOptions(tab_size=2, insert_spaces=True))
    )
    assert len(edits) == 0
    tokens = await client.text_document_semantic_tokens_full_async(types.SemanticTokensParams(DOCUMENT))
    assert len(tokens.data) % 5 == 0 and len(tokens.data) > 100
    outline = await client.text_document_document_symbol_async(types.DocumentSymbolParams(DOCUMENT))
    assert [one.name for one in outline] == ["Mood", "mood"]


async def test_a_fix_is_offered_where_the_message_has_one(client: LanguageClient) -> None:
    text = TEXT.replace("Mood]", "Moood]")
    found = await write(client, text)
    actions = await client.text_document_code_action_async(
        types.CodeActionParams(DOCUMENT, found[0].range, types.CodeActionContext(diagnostics=found))
    )
    assert actions[0].edit.changes[URI][0].new_text == "Mood"


def test_the_session_in_the_documents_is_true() -> None:
    subprocess.run([sys.executable, ROOT / "tools/lsp_session.py", PROGRAM, "--check"], check=True, timeout=60)
