#include "testing.h"

#include <algorithm>

namespace espalier::grammar::testing_support {

namespace {

VocabularyRef build(std::vector<std::string> bytes) {
  Vocabulary::Spec spec;
  spec.end_of_turn = static_cast<TokenId>(bytes.size());
  auto tokens = std::make_shared<std::vector<std::string>>(bytes);
  bytes.emplace_back();
  spec.bytes = std::move(bytes);
  spec.canonical = [tokens](std::string_view text) -> Result<std::vector<TokenId>> {
    std::vector<TokenId> out;
    for (std::size_t at = 0; at < text.size();) {
      TokenId best = kNoToken;
      std::size_t length = 0;
      for (std::size_t i = 0; i < tokens->size(); ++i) {
        const std::string& t = (*tokens)[i];
        if (t.size() > length && text.substr(at).starts_with(t)) {
          best = static_cast<TokenId>(i);
          length = t.size();
        }
      }
      if (best == kNoToken)
        return fail(ErrorCode::kInvalid, "no token spells byte " + std::to_string(at));
      out.push_back(best);
      at += length;
    }
    return out;
  };
  return Vocabulary::create(std::move(spec)).value();
}

TypeRef make(Type type) { return std::make_shared<const Type>(std::move(type)); }

}  // namespace

VocabularyRef byte_vocabulary(const std::vector<std::string>& extra) {
  std::vector<std::string> bytes;
  for (int b = 0; b < 256; ++b) bytes.emplace_back(1, static_cast<char>(b));
  bytes.insert(bytes.end(), extra.begin(), extra.end());
  return build(std::move(bytes));
}

VocabularyRef vocabulary_of(const std::vector<std::string>& tokens) { return build(tokens); }

VocabularyRef random_vocabulary(unsigned seed) {
  static const std::vector<std::string> kPieces = {
      "\"",    ",",    ":",   "{",  "}",    "[",    "]",        " ",    "\n",   "\":",      "\",",
      "{\"",   "\"}",  "\"]", "0",  "1",    "12",   "99",       ".5",   "e1",   "-",        "true",
      "false", "null", "tr",  "ue", "a",    "b",    "ab",       "abc",  "name", "\"name\"", "x\"",
      "\\",    "\\u",  "\\n", "é",  "\xC3", "\xA9", "\xE2\x82", "\xAC", "€",    "  ",       "\n  ",
      "],",    "},",   "k",   "v",  "kind", "yes",  "no",       ".",    ".\n"};
  std::mt19937 random(seed);
  std::vector<std::string> extra;
  const unsigned n = random() % 40;
  for (unsigned i = 0; i < n; ++i) {
    std::string token = kPieces[random() % kPieces.size()];
    while (random() % 3 == 0) token += kPieces[random() % kPieces.size()];
    extra.push_back(token);
  }
  return byte_vocabulary(extra);
}

TypeRef string_type(std::optional<std::uint64_t> low, std::optional<std::uint64_t> high) {
  Type t;
  t.kind = TypeKind::kString;
  t.low = low;
  t.high = high;
  return make(t);
}
TypeRef line_type() { return simple(TypeKind::kLine); }
TypeRef int_type(std::optional<std::int64_t> low, std::optional<std::int64_t> high) {
  Type t;
  t.kind = TypeKind::kInt;
  t.int_low = low;
  t.int_high = high;
  return make(t);
}
TypeRef float_type(std::optional<double> low, std::optional<double> high) {
  Type t;
  t.kind = TypeKind::kFloat;
  t.float_low = low;
  t.float_high = high;
  return make(t);
}
TypeRef simple(TypeKind kind) {
  Type t;
  t.kind = kind;
  return make(t);
}
TypeRef literal_type(Json value) {
  Type t;
  t.kind = TypeKind::kLiteral;
  t.literal = std::move(value);
  return make(t);
}
TypeRef enum_type(const std::vector<std::string>& names) {
  Type t;
  t.kind = TypeKind::kEnum;
  for (const auto& n : names) t.cases.push_back({n, n, {}});
  return make(t);
}
TypeRef union_type(std::vector<TypeRef> items) {
  Type t;
  t.kind = TypeKind::kUnion;
  t.items = std::move(items);
  return make(t);
}
TypeRef optional_type(TypeRef item) {
  Type t;
  t.kind = TypeKind::kOptional;
  t.items = {std::move(item)};
  return make(t);
}
TypeRef list_type(TypeRef item, std::optional<std::uint64_t> low,
                  std::optional<std::uint64_t> high) {
  Type t;
  t.kind = TypeKind::kList;
  t.items = {std::move(item)};
  t.low = low;
  t.high = high;
  return make(t);
}
TypeRef record_type(const std::vector<FieldSpec>& fields, TypeKind kind) {
  Type t;
  t.kind = kind;
  for (const auto& f : fields) t.fields.push_back({f.name, f.name, f.type, f.omittable, {}});
  return make(t);
}
TypeRef reference_to(const std::shared_ptr<Type>& target) {
  Type t;
  t.kind = TypeKind::kReference;
  t.name = target->name;
  t.target = target;
  return make(t);
}

TypeRef random_type(std::mt19937& random, int depth) {
  const unsigned roll = random() % (depth >= 3 ? 9 : 14);
  switch (roll) {
    case 0:
      return string_type();
    case 1: {
      const std::uint64_t low = 1 + random() % 3;
      return string_type(low, low + random() % 4);
    }
    case 2:
      return int_type();
    case 3: {
      const auto low = static_cast<std::int64_t>(random() % 300) - 150;
      return int_type(low, low + static_cast<std::int64_t>(random() % 200));
    }
    case 4:
      return random() % 2 ? float_type() : float_type(-0.5, 12.25);
    case 5:
      return simple(TypeKind::kBool);
    case 6:
      return enum_type({"yes", "no", "yesterday"});
    case 7:
      return line_type();
    case 8:
      return union_type({literal_type("a"), literal_type("ab"), int_type(0, 9)});
    case 9:
      return list_type(random_type(random, depth + 1), random() % 2, 1 + random() % 3);
    case 10:
      return list_type(random_type(random, depth + 1));
    case 11:
      return list_type(optional_type(random_type(random, depth + 2)));
    case 12:
      return simple(TypeKind::kJson);
    default: {
      std::vector<FieldSpec> fields;
      const unsigned n = random() % 4;
      for (unsigned i = 0; i < n; ++i) {
        fields.push_back({std::string(1, static_cast<char>('a' + i)) + "name",
                          random_type(random, depth + 1), random() % 3 == 0});
      }
      return record_type(fields);
    }
  }
}

Taste random_taste(unsigned seed) {
  auto random = std::make_shared<std::mt19937>(seed);
  return
      [random](TokenId, std::string_view) { return std::uniform_real_distribution<>()(*random); };
}

Taste prefer(std::string wanted) {
  return [wanted](TokenId id, std::string_view bytes) {
    const bool fits = !bytes.empty() && bytes.find_first_not_of(wanted) == std::string_view::npos;
    return (fits ? 1000.0 : 0.0) + static_cast<double>(bytes.size()) + 1e-6 * (id % 97);
  };
}

Matcher generate(const GrammarRef& grammar, std::uint32_t budget, const Taste& taste,
                 std::string_view prefix, bool jump) {
  Matcher m = grammar->start(prefix);
  const Vocabulary& v = *grammar->vocabulary();
  std::uint32_t left = budget;
  for (int step = 0; step < 20000 && !m.done(); ++step) {
    std::vector<TokenId> next = m.forced(left);
    if (!jump && next.size() > 1) next.resize(1);
    if (next.empty()) {
      const MaskRef mask = m.mask(left);
      double best = -1;
      TokenId pick = kNoToken;
      for (std::size_t id = 0; id < v.size(); ++id) {
        const auto t = static_cast<TokenId>(id);
        if (!mask->allows(t)) continue;
        const double score = taste(t, v.bytes(t));
        if (score > best) best = score, pick = t;
      }
      if (pick == kNoToken) return m;
      next = {pick};
    }
    for (const TokenId id : next) {
      if (!m.advance(id)) return m;
      if (left > 0) --left;
    }
  }
  return m;
}

}  // namespace espalier::grammar::testing_support
