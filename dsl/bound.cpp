#include "dsl/bound.h"

#include <algorithm>
#include <utility>

namespace espalier::dsl {
namespace {

std::uint64_t sum(std::uint64_t a, std::uint64_t b) { return std::min(a + b, Bound::kMost); }
std::uint64_t product(std::uint64_t a, std::uint64_t b) {
  return a != 0 && b > Bound::kMost / a ? Bound::kMost : a * b;
}

}  // namespace

Bound Bound::of(std::uint64_t number) {
  Bound out;
  if (number > 0) out.terms_[{}] = std::min(number, kMost);
  return out;
}

Bound Bound::symbol(std::string name) {
  Bound out;
  out.terms_[{std::move(name)}] = 1;
  return out;
}

Bound& Bound::operator+=(const Bound& other) {
  for (const auto& [symbols, number] : other.terms_) {
    std::uint64_t& here = terms_[symbols];
    here = sum(here, number);
  }
  if (terms_.size() > kMostTerms) *this = of(kMost);
  return *this;
}

Bound Bound::times(const Bound& other) const {
  Bound out;
  for (const auto& [a, m] : terms_)
    for (const auto& [b, n] : other.terms_) {
      std::vector<std::string> both = a;
      both.insert(both.end(), b.begin(), b.end());
      std::sort(both.begin(), both.end());
      std::uint64_t& here = out.terms_[both];
      here = sum(here, product(m, n));
      if (out.terms_.size() > kMostTerms) return of(kMost);
    }
  return out;
}

Bound Bound::or_larger(const Bound& other) const {
  Bound out = *this;
  for (const auto& [symbols, number] : other.terms_) {
    std::uint64_t& here = out.terms_[symbols];
    here = std::max(here, number);
  }
  return out;
}

Bound Bound::with(const std::map<std::string, Bound>& meaning) const {
  Bound out;
  for (const auto& [symbols, number] : terms_) {
    Bound term = Bound::of(number);
    for (const std::string& one : symbols) {
      const auto known = meaning.find(one);
      term = term.times(known == meaning.end() ? Bound::symbol(one) : known->second);
    }
    out += term;
  }
  return out;
}

std::optional<std::uint64_t> Bound::number() const {
  if (terms_.empty()) return 0;
  if (terms_.size() > 1 || !terms_.begin()->first.empty()) return std::nullopt;
  return terms_.begin()->second;
}

std::string Bound::text() const {
  if (terms_.empty()) return "0";
  std::string out;
  // Products with the most symbols first.
  std::vector<std::pair<std::vector<std::string>, std::uint64_t>> order(terms_.begin(),
                                                                        terms_.end());
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
  for (const auto& [symbols, number] : order) {
    if (number == kMost) return "more than " + std::to_string(kMost - 1);
    std::string term = number == 1 && !symbols.empty() ? "" : std::to_string(number);
    for (const std::string& one : symbols) term += (term.empty() ? "" : "·") + one;
    out += (out.empty() ? "" : " + ") + term;
  }
  return out;
}

}  // namespace espalier::dsl
