#include "cli/trace_page.h"

#include <string_view>

#include "grammar/json_text.h"

namespace espalier::cli {
namespace {

constexpr std::string_view kHead = R"html(<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>Espalier trace</title>
<style>
:root { color-scheme: light dark; --ink: #1c2127; --faint: #68707b; --paper: #fcfcfa; --line: #d8dbdf;
  --tight: 39, 110, 168; --shared: #3d8b57; --computed: #c07b2a; --bad: #b3362b; --card: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e2e5e9; --faint: #98a1ad; --paper: #14171b; --line: #333941;
  --tight: 96, 165, 220; --shared: #64b980; --computed: #dca050; --bad: #ea7a6e; --card: #1b1f25; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
header, main { max-width: 72rem; margin: 0 auto; padding: 1rem 1.25rem; }
h1 { font-size: 1.25rem; margin: 0 0 .25rem; }
code, .text, .tokens, pre { font-family: ui-monospace, monospace; font-size: .875rem; }
.totals { display: flex; flex-wrap: wrap; gap: .5rem 1.75rem; margin: .75rem 0 0; padding: 0; }
.totals div { display: flex; flex-direction: column-reverse; }
.totals dt { color: var(--faint); font-size: .8rem; }
.totals dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
.legend { color: var(--faint); font-size: .85rem; }
.swatch { display: inline-block; width: .8em; height: .8em; border-radius: 2px; vertical-align: -.05em; }
.branch { border-left: 3px solid var(--line); margin: .5rem 0 .5rem .25rem; padding-left: .9rem; }
.branch > .title, .branch > summary { color: var(--faint); font-size: .85rem; cursor: default; }
.branch > summary { cursor: pointer; }
.turn { margin: .6rem 0; }
.role { font-size: .75rem; letter-spacing: .04em; text-transform: uppercase; color: var(--faint); }
.text, .tokens, pre { white-space: pre-wrap; overflow-wrap: anywhere; }
.hole { border: 1px solid var(--line); border-radius: 6px; background: var(--card); margin: .4rem 0; padding: .5rem .75rem; }
.hole .facts { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; color: var(--faint); font-size: .8rem; font-variant-numeric: tabular-nums; }
.hole .facts b { color: var(--ink); font-weight: 600; }
.bar { display: flex; height: 5px; border-radius: 3px; overflow: hidden; background: var(--line); margin: .35rem 0; }
.bar .shared { background: var(--shared); } .bar .computed { background: var(--computed); }
.time { position: relative; height: 4px; background: var(--line); border-radius: 2px; margin: .35rem 0; }
.time i { position: absolute; height: 100%; min-width: 2px; background: rgb(var(--tight)); border-radius: 2px; }
.token { border: 0; padding: 1px 0; font: inherit; color: inherit; border-radius: 2px; cursor: pointer; white-space: pre-wrap;
  background: rgba(var(--tight), var(--shade, 0)); text-align: left; }
.token.forced { color: var(--faint); cursor: default; border-bottom: 1px dotted var(--faint); }
.token:focus-visible, .token.chosen { outline: 2px solid rgb(var(--tight)); }
.choice { margin: .4rem 0 .1rem; font-size: .85rem; }
.choice table { border-collapse: collapse; } .choice td { padding: 0 .75rem 0 0; font-variant-numeric: tabular-nums; }
.choice .p { width: 9rem; } .choice .p i { display: block; height: .6em; background: rgb(var(--tight)); border-radius: 2px; min-width: 1px; }
.note { border-left: 3px solid var(--computed); padding-left: .6rem; margin: .4rem 0; }
.note.bad { border-color: var(--bad); }
.note .what { color: var(--faint); font-size: .8rem; }
.note pre { margin: 0; }
</style>
<header></header>
<main></main>
<script type="application/json" id="trace">)html";

constexpr std::string_view kTail = R"html(</script>
<script>
'use strict';
const events = JSON.parse(document.getElementById('trace').textContent);
const run = events.find(e => e.event === 'run') || {};
const vocabulary = run.vocabulary || 0;
const total = events.length ? events[events.length - 1].ms : 0;
const number = n => Number(n).toLocaleString('en');
function element(tag, name, text) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
}
// The branches, each with what happened in it, in order; those that it opened stand where it did.
const branches = new Map();
function branch(id) {
  if (!branches.has(id)) branches.set(id, { id, what: id === 0 ? 'the program' : 'branch', items: [], hole: null });
  return branches.get(id);
}
const sums = { holes: 0, tokens: 0, forced: 0, found: 0, computed: 0, tools: 0, retries: 0 };
for (const e of events) {
  if (e.branch === undefined) continue;
  const here = branch(e.branch);
  if (e.event === 'branch') {
    here.what = e.what;
    branch(e.parent).items.push({ kind: 'branch', branch: here });
  } else if (e.event === 'hole') {
    here.hole = { kind: 'hole', start: e, tokens: [], end: null };
    here.items.push(here.hole);
    ++sums.holes;
  } else if (e.event === 'token') {
    if (here.hole) here.hole.tokens.push(e);
    ++sums.tokens;
    if (e.forced) ++sums.forced;
  } else if (e.event === 'value') {
    if (here.hole) here.hole.end = e;
    if (e.prompt !== undefined) { sums.found += e.found; sums.computed += e.prompt - e.found; }
    here.hole = null;
  } else if (e.event === 'tool') {
    here.items.push({ kind: 'tool', start: e, end: null });
    ++sums.tools;
  } else if (e.event === 'tool_end') {
    const same = i => i.kind === 'tool' && !i.end && i.start.tool === e.tool &&
      JSON.stringify(i.start.arguments) === JSON.stringify(e.arguments);
    const open = here.items.find(same);
    if (open) open.end = e;
  } else {
    if (e.event === 'retry') ++sums.retries;
    here.items.push({ kind: e.event, event: e });
  }
}
function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted.length ? sorted[Math.floor(sorted.length / 2)] : 0;
}
function share(n) { return vocabulary ? (100 * n / vocabulary).toPrecision(2) + ' %' : ''; }
function shown(text) { return text === '' ? '∅' : JSON.stringify(text).slice(1, -1); }
function alternatives(rows) {
  const table = element('table');
  for (const row of rows) {
    const line = element('tr');
    line.append(element('td', 'text', shown(row.text)), element('td', '', (100 * row.p).toFixed(1) + ' %'));
    const cell = element('td', 'p'), bar = element('i');
    bar.style.width = 100 * row.p + '%';
    cell.append(bar);
    line.append(cell);
    table.append(line);
  }
  return table;
}
function hole(item) {
  const box = element('section', 'hole');
  const facts = element('div', 'facts');
  const place = item.start.file + ':' + item.start.line + ':' + item.start.column;
  facts.append(element('b', 'path', item.start.path), element('span', '', place));
  const end = item.end ? item.end.ms : total;
  facts.append(element('span', 'ms', (end - item.start.ms).toFixed(1) + ' ms'));
  facts.append(element('span', '', number(item.tokens.length) + ' tokens'));
  const allowed = item.tokens.filter(t => t.allowed !== undefined).map(t => t.allowed);
  if (allowed.length) facts.append(element('span', 'mask', 'mask: ' + number(median(allowed)) + ' of ' + number(vocabulary) +
    ' tokens allowed (median, ' + share(median(allowed)) + ')'));
  if (item.end && item.end.truncated) facts.append(element('b', '', 'closed by its budget'));
  if (item.end && item.end.p !== undefined) facts.append(element('span', '', 'p ' + item.end.p.toFixed(3)));
  box.append(facts);
  if (item.end && item.end.prompt) {
    const { prompt, found } = item.end;
    facts.append(element('span', 'cost', 'prompt: ' + number(found) + ' tokens shared, ' + number(prompt - found) + ' computed'));
    const bar = element('div', 'bar');
    for (const [name, n] of [['shared', found], ['computed', prompt - found]]) {
      const part = element('div', name);
      part.style.width = 100 * n / prompt + '%';
      bar.append(part);
    }
    box.append(bar);
  }
  const time = element('div', 'time'), span = element('i');
  span.style.left = 100 * item.start.ms / (total || 1) + '%';
  span.style.width = 100 * (end - item.start.ms) / (total || 1) + '%';
  time.title = 'from ' + item.start.ms + ' to ' + end + ' ms of ' + total;
  time.append(span);
  box.append(time);
  const tokens = element('div', 'tokens');
  const detail = element('div', 'choice');
  for (const t of item.tokens) {
    const one = element(t.best ? 'button' : 'span', 'token' + (t.forced ? ' forced' : ''), t.text === '' ? '∅' : t.text);
    if (t.allowed !== undefined && vocabulary > 1)
      one.style.setProperty('--shade', (0.05 + 0.4 * (1 - Math.log(t.allowed) / Math.log(vocabulary))).toFixed(3));
    one.title = t.forced ? 'the type left no choice' : t.allowed !== undefined ? number(t.allowed) + ' allowed' : '';
    if (t.best) one.addEventListener('click', () => {
      for (const other of tokens.querySelectorAll('.chosen')) other.classList.remove('chosen');
      one.classList.add('chosen');
      detail.replaceChildren(element('div', '', 'token ' + t.id + ' “' + shown(t.text) + '”: ' + number(t.allowed) + ' of ' +
        number(vocabulary) + ' allowed (' + share(t.allowed) + ')'),
        alternatives(t.best.map(b => ({ text: b.text, p: Math.exp(b.logprob) }))));
    });
    tokens.append(one);
  }
  box.append(tokens, detail);
  if (item.end && item.end.dist) detail.append(alternatives(item.end.dist));
  return box;
}
function note(what, text, bad) {
  const made = element('div', 'note' + (bad ? ' bad' : ''));
  made.append(element('div', 'what', what), element('pre', '', text));
  return made;
}
function draw(one) {
  const box = element(one.id === 0 ? 'div' : 'details', 'branch');
  const counted = one.items.filter(i => i.kind === 'hole').length;
  const title = one.what + (one.id === 0 ? '' : ' ' + one.id) + (counted ? ' · ' + counted + (counted === 1 ? ' hole' : ' holes') : '');
  box.append(element(one.id === 0 ? 'div' : 'summary', 'title', title));
  if (one.id !== 0) box.open = true;
  let turn = box;
  for (const item of one.items) {
    if (item.kind === 'turn') {
      turn = element('div', 'turn');
      turn.append(element('div', 'role', item.event.role));
      box.append(turn);
    } else if (item.kind === 'turn_end') {
      turn = box;
    } else if (item.kind === 'text' || item.kind === 'template') {
      turn.append(element('span', 'text', item.event.text));
    } else if (item.kind === 'hole') {
      turn.append(hole(item));
    } else if (item.kind === 'tool') {
      const end = item.end || {};
      turn.append(note('tool ' + item.start.tool + (item.end ? ', ' + (end.ms - item.start.ms).toFixed(1) + ' ms' : ''),
        JSON.stringify(item.start.arguments) + '\n→ ' + (end.error !== undefined ? end.error : JSON.stringify(end.value)),
        end.error !== undefined));
    } else if (item.kind === 'retry') {
      box.append(note('this try failed and was rolled back', item.event.why, true));
      turn = box;
    } else if (item.kind === 'drop') {
      turn.append(note(number(item.event.turns.length) + ' turns dropped: the prompt had outgrown the context of ' +
        number(item.event.context) + ' tokens', item.event.turns.map(t => t.role + ', ' + number(t.tokens) + ' tokens').join('\n')));
    } else if (item.kind === 'branch') {
      turn.append(draw(item.branch));
    }
  }
  return box;
}
const header = document.querySelector('header');
header.append(element('h1', '', (run.program || 'A trace') + (run.gen ? ': ' + run.gen : '')));
if (run.arguments) header.append(element('code', '', JSON.stringify(run.arguments)));
const totals = element('dl', 'totals');
for (const [name, value] of [['model', run.model || '?'], ['holes', number(sums.holes)],
  ['tokens generated', number(sums.tokens)], ['of them forced', number(sums.forced)],
  ['prompt tokens shared', number(sums.found)], ['computed', number(sums.computed)],
  ['tool calls', number(sums.tools)], ['tries rolled back', number(sums.retries)], ['ms', number(total)]]) {
  const pair = element('div');
  pair.append(element('dt', '', name), element('dd', '', value));
  totals.append(pair);
}
header.append(totals);
const legend = element('p', 'legend', 'The darker a token, the fewer its mask allowed; dotted: the type left no choice. ' +
  'Click a token for its alternatives. Below each hole’s name, its prompt: ');
for (const [name, text] of [['shared', ' shared '], ['computed', ' computed ']]) {
  const swatch = element('span', 'swatch');
  swatch.style.background = 'var(--' + name + ')';
  legend.append(swatch, text);
}
header.append(legend);
const main = document.querySelector('main');
main.append(draw(branch(0)));
for (const e of events) {
  if (e.event === 'result') main.append(note('result', JSON.stringify(e.value, null, 2)));
  if (e.event === 'error') main.append(note('the run failed', e.message, true));
}
</script>
</html>
)html";

}  // namespace

std::string trace_page(const TraceEvents& events) {
  std::string page(kHead);
  page += '[';
  bool first = true;
  for (const Json& event : events) {
    if (!first) page += ",\n";
    first = false;
    // No text can end the element that holds the data, or begin a comment in it.
    for (const char c : write_json(event)) {
      if (c == '<') {
        page += "\\u003c";
      } else {
        page += c;
      }
    }
  }
  page += ']';
  page += kTail;
  return page;
}

}  // namespace espalier::cli
