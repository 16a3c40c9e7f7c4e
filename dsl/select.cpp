#include "dsl/select.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace espalier::dsl {
namespace {

using grammar::TypeKind;
using grammar::TypeRef;

Status collect(const TypeRef& type, std::vector<Choice>& out, int depth) {
  const auto too_many = [] {
    return fail(ErrorCode::kLimit,
                "select over more than " + std::to_string(kMaxChoices) + " choices");
  };
  if (type == nullptr || depth > 64)
    return fail(ErrorCode::kUnsupported, "select over a type that is not finite");
  switch (type->kind) {
    case TypeKind::kBool:
      out.push_back({"true", true, "true"});
      out.push_back({"false", false, "false"});
      break;
    case TypeKind::kNull:
      out.push_back({"null", nullptr, "null"});
      break;
    case TypeKind::kLiteral: {
      std::string text =
          type->literal.is_string() ? type->literal.get<std::string>() : type->literal.dump();
      out.push_back({text, type->literal, text});
      break;
    }
    case TypeKind::kEnum:
      for (const auto& one : type->cases) out.push_back({one.surface, one.surface, one.name});
      break;
    case TypeKind::kInt: {
      if (!type->int_low || !type->int_high)
        return fail(ErrorCode::kUnsupported, "select over an int without both ends");
      const std::int64_t low = *type->int_low;
      const std::int64_t high = *type->int_high;
      if (low <= high &&
          static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low) >= kMaxChoices) {
        return too_many();
      }
      for (std::int64_t i = low; i <= high; ++i) {
        out.push_back({std::to_string(i), i, std::to_string(i)});
        if (i == std::numeric_limits<std::int64_t>::max()) break;
      }
      break;
    }
    case TypeKind::kUnion:
      for (const TypeRef& item : type->items) ESP_TRY(collect(item, out, depth + 1));
      break;
    case TypeKind::kReference:
      ESP_TRY(collect(type->target.lock(), out, depth + 1));
      break;
    default:
      return fail(ErrorCode::kUnsupported, "select over a type whose strings are not listed");
  }
  if (out.size() > kMaxChoices) return too_many();
  return {};
}

}  // namespace

Result<std::vector<Choice>> choices_of(const TypeRef& type) {
  std::vector<Choice> all;
  ESP_TRY(collect(type, all, 0));
  std::vector<Choice> out;
  std::set<std::string> seen;
  for (Choice& choice : all) {
    if (choice.text.empty()) return fail(ErrorCode::kInvalid, "select has an empty choice");
    if (seen.insert(choice.text).second) out.push_back(std::move(choice));
  }
  if (out.empty()) return fail(ErrorCode::kInvalid, "select has no choices");
  return out;
}

std::vector<double> distribution(const std::vector<double>& scores) {
  const double top = *std::max_element(scores.begin(), scores.end());
  std::vector<double> out;
  double total = 0;
  for (const double score : scores) {
    out.push_back(std::isfinite(top) ? std::exp(score - top) : 1.0);
    total += out.back();
  }
  for (double& p : out) p /= total;
  return out;
}

std::size_t choose(const std::vector<double>& distribution, double temperature,
                   const RandomKey& key) {
  const auto best = static_cast<std::size_t>(
      std::max_element(distribution.begin(), distribution.end()) - distribution.begin());
  if (temperature <= 0) return best;
  // Scaled by the largest, so that no weight overflows and the best never vanishes.
  std::vector<double> weights;
  double total = 0;
  for (const double p : distribution) {
    weights.push_back(std::pow(p / distribution[best], 1.0 / temperature));
    total += weights.back();
  }
  double u = key.uniform(0) * total;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    u -= weights[i];
    if (u < 0) return i;
  }
  return best;
}

}  // namespace espalier::dsl
