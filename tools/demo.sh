#!/usr/bin/env bash
# The demonstration behind `make demo`: an agent with typed tools, then typed records out of a folder of letters,
# each with what the prefix tree saved.
set -euo pipefail
cd "$(dirname "$0")/.."
espalier=build/bin/espalier
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

shared() {  # STATS.json: one line about sharing
  python3 - "$1" <<'PY'
import json, sys
s = json.load(open(sys.argv[1]))
share = 100 * s["reused_tokens"] / max(1, s["prompt_tokens"])
print(f'   {s["prompt_tokens"]} prompt tokens, {s["reused_tokens"]} of them shared ({share:.0f} %); '
      f'{s["generated_tokens"]} generated, {s["forced_tokens"]} of those forced by the type; '
      f'{s["wall_seconds"]:.1f} s')
PY
}

echo "1. An agent with typed tools, asked three questions (examples/agent/shop.gen)"
"$espalier" batch examples/agent/shop.gen --in examples/agent/questions.jsonl --out "$work/agent.jsonl" \
  --stats "$work/agent.json"
sed 's/^/   /' "$work/agent.jsonl"
shared "$work/agent.json"

echo
echo "2. Typed records from a folder of letters (examples/extract/letters.gen)"
"$espalier" batch examples/extract/letters.gen --in 'examples/extract/documents/*.txt' \
  --out "$work/letters.jsonl" --stats "$work/extract.json"
sed 's/^/   /' "$work/letters.jsonl"
shared "$work/extract.json"

echo
echo "The model is small (135 million parameters): the types hold whatever it says, the facts get better with a"
echo "larger one. Next: README.md, or build/bin/espalier --help."
