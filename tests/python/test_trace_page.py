"""The page of `espalier run --trace out.html` in a real browser, without a network."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = ROOT / "build/bin/espalier"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(not PROGRAM.exists(), reason=f"{PROGRAM} is not built"),
    pytest.mark.skipif(BROWSER is None, reason="no browser: apt-get install chromium"),
]

AGENT = """\
enum Mood { glad, sad }
tool add(a: int(0..9), b: int(0..9)) -> int = python "sums:add"
gen agent(topic: string) -> { ideas: string[], sum: int, end: line } {
  system "You talk about things </script><b>and</b> more."
  user "Talk about ${topic}."
  let ideas = fork 3 {
    assistant "$[idea: string(1..12), max=16, temperature=1.0]"
    yield idea
  }
  assistant "$[mood: select Mood]"
  user "Add."
  assistant "$[call: add]"
  let sum = run call
  retry 2 {
    user "It is ${sum}."
    assistant "$[end: line, max=12]"
    require len(end) > 100, "more, please"
  } else {
    return { ideas, sum, end: "none" }
  }
  return { ideas, sum, end }
}
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trace")
    (folder / "agent.gen").write_text(AGENT)
    (folder / "sums.py").write_text("def add(a: int, b: int) -> int:\n    return a + b\n")
    sizes = {"layers": 1, "width": 64, "heads": 2, "kv-heads": 1, "feed-forward": 64, "context": 2048}
    shape = [part for name, size in sizes.items() for part in (f"--{name}", str(size))]
    subprocess.run([PROGRAM, "mkmodel", "tiny.gguf", *shape], cwd=folder, check=True)
    run = [PROGRAM, "run", "agent.gen", "--arg", "topic=rain & snow", "--model", "tiny.gguf"]
    subprocess.run([*run, "--trace", "out.html"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder / "out.html"


def browse(page: Path, *what: str) -> str:
    profile = page.parent / "profile"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}"]
    # Whatever it would fetch is refused.
    flags += ["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=5000", "--enable-logging=stderr"]
    done = subprocess.run([BROWSER, *flags, *what, page.as_uri()], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Uncaught" not in done.stderr, done.stderr
    return done.stdout


def test_it_shows_the_tree_its_holes_and_their_tokens(page: Path) -> None:
    dom = browse(page, "--dump-dom")
    shown = dom[: dom.index('<script type="application/json"')]
    assert shown.count('class="hole"') == 3 + 1 + 1 + 2
    assert shown.count('<details class="branch" open') == 3
    assert shown.count('class="token"') > 20
    assert len(re.findall(r"mask: [\d,]+ of [\d,]+ tokens allowed", shown)) == 6
    assert len(re.findall(r"prompt: [\d,]+ tokens shared, [\d,]+ computed", shown)) == 6
    assert "agent.gen:7:16" in shown
    assert "this try failed and was rolled back" in shown and "more, please" in shown
    assert "tool add" in shown
    assert "&lt;/script&gt;&lt;b&gt;and&lt;/b&gt;" in shown, "texts are texts"


def test_it_takes_nothing_from_elsewhere(page: Path) -> None:
    text = page.read_text()
    assert not re.findall(r"""(?:src|href)\s*=|url\(|@import|https?://|fetch\(""", text[: text.index('id="trace"')])
    assert text.count("</script>") == 2


def test_a_picture_of_it_can_be_taken(page: Path) -> None:
    picture = page.parent / "trace.png"
    browse(page, f"--screenshot={picture}", "--window-size=1200,1600")
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 20_000
