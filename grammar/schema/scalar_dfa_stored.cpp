// Finished automata as bytes, and back.
#include <algorithm>
#include <utility>

#include "grammar/schema/scalar_dfa.h"
#include "grammar/stored_form.h"

namespace espalier::grammar {
namespace {

unsigned byte_at(std::string_view bytes, std::size_t i) {
  return static_cast<unsigned char>(bytes[i]);
}

}  // namespace

// Where it starts; by state, whether it accepts and how many runs its row has, less one; of all
// runs, where they begin and what they lead to, low byte first.
std::string ScalarDfa::stored() const {
  std::string accepts, counts, firsts, targets;
  for (std::size_t q = 0; q < facts_.size(); ++q) {
    accepts += static_cast<char>(facts_[q].accepting ? 1 : 0);
    const std::span<const ByteRun> runs = runs_.of(q);
    counts += static_cast<char>(runs.size() - 1);
    for (const ByteRun& run : runs) {
      firsts += static_cast<char>(run.first);
      targets += static_cast<char>(run.to & 0xFF);
      targets += static_cast<char>(run.to >> 8);
    }
  }
  std::string out;
  put(out, std::uint64_t{start_});
  for (const std::string& part : {accepts, counts, firsts, targets}) put(out, part);
  return out;
}

std::shared_ptr<const ScalarDfa> ScalarDfa::restore(std::string_view stored, const Tables& tables) {
  Fields fields(stored);
  const std::uint64_t start = fields.number();
  const std::string_view accepts = fields.text(), counts = fields.text(), firsts = fields.text(),
                         targets = fields.text();
  const std::size_t states = counts.size();
  if (!fields.done() || states > kMaxStates || start == kDead || start >= states) return nullptr;
  if (accepts.size() != states || targets.size() != 2 * firsts.size()) return nullptr;
  auto out = std::make_shared<ScalarDfa>();
  out->start_ = static_cast<State>(start);
  out->rows_.assign(states * 256, kDead);
  out->facts_.resize(states);
  std::size_t at = 0;  // of the runs
  for (std::size_t q = 0; q < states; ++q) {
    Facts& facts = out->facts_[q];
    const std::size_t end = at + byte_at(counts, q) + 1;
    if (end > firsts.size() || byte_at(firsts, at) != 0 || byte_at(accepts, q) > 1) return nullptr;
    facts.accepting = byte_at(accepts, q) == 1;
    State last = kDead;
    for (std::size_t r = at; r < end; ++r) {
      const unsigned first = byte_at(firsts, r);
      const unsigned next = r + 1 < end ? byte_at(firsts, r + 1) : 256;
      const auto to =
          static_cast<State>(byte_at(targets, 2 * r) | byte_at(targets, 2 * r + 1) << 8);
      if (next <= first || to >= states || (r > at && to == last)) return nullptr;
      out->runs_.add(first, to);
      last = to;
      if (to == kDead) continue;
      facts.bytes |= ByteSet::range(first, next - 1);
      std::fill_n(out->rows_.begin() + static_cast<std::ptrdiff_t>(q * 256 + first), next - first,
                  to);
    }
    out->runs_.end_row();
    at = end;
    if (!(facts.bytes & ~tables.vocabulary->json_bytes()).none()) return nullptr;
    if (q == kDead && (facts.accepting || !facts.bytes.none())) return nullptr;
  }
  if (at != firsts.size() || !out->find_kind() || !out->quoted_) return nullptr;
  out->find_facts(tables.vocabulary->single_bytes(), tables.string);
  if (!out->within(*tables.string)) return nullptr;
  return out;
}

// Whether every text is a string of these characters, and every state that is reached has a way to
// an end.
bool ScalarDfa::within(const Terminal& characters) const {
  std::vector<bool> known(facts_.size() * characters.size(), false);
  std::vector<std::pair<State, Terminal::State>> reached;
  const auto reach = [&](State q, Terminal::State there) {
    if (facts_[q].closing_size == UINT32_MAX) return false;
    if (facts_[q].accepting != characters.accepting(there)) return false;
    const std::size_t pair = q * characters.size() + there;
    if (!known[pair]) reached.emplace_back(q, there);
    known[pair] = true;
    return true;
  };
  if (!reach(start_, characters.start())) return false;
  while (!reached.empty()) {
    const auto [q, along] = reached.back();
    reached.pop_back();
    const bool inside = for_each_pair(q, characters, along, [&](State to, Terminal::State there) {
      return to == kDead || (there != Terminal::kDead && reach(to, there));
    });
    if (!inside) return false;
  }
  return true;
}

}  // namespace espalier::grammar
