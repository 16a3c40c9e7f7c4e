#include "dsl/python_stub.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "dsl/patterns.h"
#include "dsl/static_types.h"

namespace espalier::dsl {
namespace {

bool is_python_word(std::string_view word) {
  static constexpr std::array<std::string_view, 35> kWords = {
      "False", "None",     "True",  "and",    "as",   "assert", "async",  "await",    "break",
      "class", "continue", "def",   "del",    "elif", "else",   "except", "finally",  "for",
      "from",  "global",   "if",    "import", "in",   "is",     "lambda", "nonlocal", "not",
      "or",    "pass",     "raise", "return", "try",  "while",  "with",   "yield"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

bool is_identifier(std::string_view text) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  if (text.empty() || !letter(text[0]) || is_python_word(text)) return false;
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      static constexpr std::string_view kHex = "0123456789abcdef";
      const auto byte = static_cast<unsigned char>(c);
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string docstring(std::string_view doc, const std::string& indent) {
  if (doc.empty()) return "";
  std::string out = indent + "\"\"\"";
  for (const char c : doc) {
    if (c == '\\' || c == '"') out += '\\';
    out += c;
    if (c == '\n') out += indent;
  }
  return out + "\"\"\"\n";
}

// "lost_card" and "tool" to "LostCardTool".
std::string title(std::string_view name) {
  std::string out;
  bool start = true;
  for (const char c : name) {
    if (c == '_' || c == '.') {
      start = true;
      continue;
    }
    out += start && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    start = false;
  }
  return out;
}

class Stub {
 public:
  explicit Stub(const Program& program) : program_(program) {
    for (const char* taken :
         {"str", "int", "float", "bool", "list", "dict", "Program", "_t", "_espalier"})
      taken_.insert(taken);
    for (const TypeInfo& one : program.types) names_.emplace(one.name, fresh(one.name));
  }

  std::string run() {
    for (const TypeInfo& one : program_.types)
      if (one.span.file == 0) (void)named(one);
    std::string members;
    for (const GenInfo* gen : program_.own_gens()) members += generator(*gen);
    const std::string file = std::filesystem::path(program_.sources[0].name()).filename().string();
    const std::string text =
        "\"\"\"Types of " + file +
        ", made by `espalier stub`: change the program, not this file.\"\"\"\n\n"
        "import espalier as _espalier\n"
        "import typing_extensions as _t\n\n" +
        out_ +
        "class Program(_t.Protocol):\n"
        "    generators: dict[str, _espalier.Generator]\n"
        "    warnings: str\n"
        "    def with_options(self, **options: float) -> Program: ...\n";
    return text + members;
  }

 private:
  std::string fresh(std::string_view wanted) {
    std::string name(wanted);
    std::replace(name.begin(), name.end(), '.', '_');
    while (!is_identifier(name) || taken_.contains(name)) name += '_';
    taken_.insert(name);
    return name;
  }

  // The Python name of a declared type; its definition is written with its first use.
  std::string named(const TypeInfo& info) {
    const std::string& name = names_.at(info.name);
    if (!written_.insert(info.name).second) return name;
    if (info.type != nullptr && info.type->kind == TypeKind::kRecord) {
      record(name, *info.type, info.doc, &info.defaults);
    } else {
      const std::string meaning = type(info.type, name, /*inside=*/info.name);
      out_ += name + ": _t.TypeAlias = " + meaning + "\n" + docstring(info.doc, "") + "\n";
    }
    return name;
  }

  void record(const std::string& name, const Type& type, const std::string& doc,
              const std::map<std::string, Json>* defaults) {
    const bool plain = std::all_of(type.fields.begin(), type.fields.end(),
                                   [](const auto& field) { return is_identifier(field.key); });
    std::string fields;
    for (const auto& field : type.fields) {
      std::string meaning = this->type(field.type, name + title(field.name));
      const bool absent =
          field.omittable || (defaults != nullptr && defaults->contains(field.name));
      if (absent) meaning = "_t.NotRequired[" + meaning + "]";
      fields += plain ? "    " + field.key + ": " + meaning + "\n" + docstring(field.doc, "    ")
                      : "    " + quote(field.key) + ": " + quote(meaning) + ",\n";
    }
    if (plain) {
      const std::string about = docstring(doc, "    ");
      out_ += "class " + name + "(_t.TypedDict):\n" + about +
              (fields.empty() && about.empty() ? "    ...\n" : fields) + "\n";
    } else {
      out_ += name + " = _t.TypedDict(" + quote(name) + ", {\n" + fields + "})\n" +
              docstring(doc, "") + "\n";
    }
  }

  // `hint`: what a record without a name is called after. `inside`: the declared type whose own
  // meaning is asked for.
  std::string type(const TypeRef& given, const std::string& hint, const std::string& inside = {}) {
    const TypeRef type = resolve(given);
    if (type == nullptr) return "_t.Any";
    if (!type->name.empty() && type->name != inside) {
      if (const TypeInfo* declared = program_.type(type->name)) return named(*declared);
    }
    switch (type->kind) {
      case TypeKind::kString:
      case TypeKind::kLine:
      case TypeKind::kGrammar:
      case TypeKind::kSpan:
        return "str";
      case TypeKind::kRegex: {
        const TypeRef groups = group_record(type->pattern);
        return groups == nullptr ? "str" : anonymous(*groups, hint);
      }
      case TypeKind::kInt:
        return "int";
      case TypeKind::kFloat:
        return "float";
      case TypeKind::kBool:
        return "bool";
      case TypeKind::kNull:
        return "None";
      case TypeKind::kLiteral:
      case TypeKind::kEnum:
      case TypeKind::kUnion:
      case TypeKind::kOptional:
        return alternatives(*type, hint);
      case TypeKind::kList:
        return "list[" + this->type(type->items[0], hint + "Item") + "]";
      case TypeKind::kMap:
        return "dict[str, " + this->type(type->items[0], hint + "Value") + "]";
      case TypeKind::kRecord:
        return anonymous(*type, hint);
      case TypeKind::kCall:
        return calls(*type);
      case TypeKind::kJson:
      case TypeKind::kSchema:
      case TypeKind::kReference:
        return "_t.Any";
    }
    return "_t.Any";
  }

  std::string anonymous(const Type& type, const std::string& hint) {
    const auto known = anonymous_.find(&type);
    if (known != anonymous_.end()) return known->second;
    const std::string name = fresh(hint);
    anonymous_.emplace(&type, name);
    record(name, type, type.doc, nullptr);
    return name;
  }

  // Words and whole numbers in one Literal, then the others.
  std::string alternatives(const Type& type, const std::string& hint) {
    std::vector<std::string> words, others;
    const auto add = [](std::vector<std::string>& list, std::string one) {
      if (std::find(list.begin(), list.end(), one) == list.end()) list.push_back(std::move(one));
    };
    const auto add_words = [&](const Type& one) {
      for (const auto& word : one.cases) add(words, quote(word.surface));
      if (one.kind != TypeKind::kLiteral) return;
      if (one.literal.is_string()) {
        add(words, quote(one.literal.get<std::string>()));
      } else if (one.literal.is_number_integer()) {
        add(words, one.literal.dump());
      } else {
        add(others, "float");
      }
    };
    if (type.kind == TypeKind::kLiteral || type.kind == TypeKind::kEnum) add_words(type);
    for (const TypeRef& item : type.items) {
      if (item != nullptr && item->kind == TypeKind::kLiteral && item->name.empty()) {
        add_words(*item);
      } else {
        add(others, this->type(item, hint));
      }
    }
    if (type.kind == TypeKind::kOptional) add(others, "None");
    std::string out;
    for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
    if (!words.empty()) out = "_t.Literal[" + out + "]";
    for (const std::string& other : others) out += (out.empty() ? "" : " | ") + other;
    return out;
  }

  std::string calls(const Type& type) {
    std::string out;
    for (const auto& field : type.fields) {
      auto& name = calls_[field.key];
      if (name.empty()) {
        const ToolInfo* tool = program_.tool(field.name);
        name = fresh(title(field.name) + "Call");
        const std::string arguments = fresh(title(field.name) + "Arguments");
        record(arguments, *field.type, tool == nullptr ? "" : tool->doc, nullptr);
        out_ += "class " + name + "(_t.TypedDict):\n    name: _t.Literal[" + quote(field.name) +
                "]\n    arguments: " + arguments + "\n\n";
      }
      out += (out.empty() ? "" : " | ") + name;
    }
    return out;
  }

  // Its Protocol, and the line that stands in Program.
  std::string generator(const GenInfo& gen) {
    // Names that Python or the class itself has otherwise.
    if (!is_identifier(gen.name) || gen.name == "generators" || gen.name == "warnings" ||
        gen.name == "stub" || gen.name == "with_options")
      return "    # program.generators[" + quote(gen.name) + "]\n";
    const std::string own = title(gen.name);
    std::string parameters;
    // By place as long as Python's order of parameters allows it, from there on by name.
    bool by_place = true, starred = false, left_out = false, others = false;
    for (const Parameter& one : gen.parameters) {
      std::string meaning = type(one.type, own + title(one.name));
      const bool optional = one.omittable || one.fallback;
      const bool written = is_identifier(one.name) && one.name != "self";
      by_place = by_place && written && (optional || !left_out);
      left_out = left_out || optional;
      if (!written) {
        others = true;
        continue;
      }
      if (!by_place && !std::exchange(starred, true)) parameters += ", *";
      if (one.omittable) meaning += " | None";
      parameters += ", " + one.name + ": " + meaning + (optional ? " = ..." : "");
    }
    if (others) parameters += ", **others: _t.Any";  // names that Python cannot write
    const std::string result = gen.result != nullptr ? type(gen.result, own + "Result")
                               : gen.returns         ? "_t.Any"
                                                     : "None";
    const std::string name = fresh("_" + own);
    const auto method = [&](const std::string& head, const std::string& gives) {
      return "    " + head + "(self" + parameters + ") -> " + gives + ": ...\n";
    };
    out_ += "class " + name + "(_t.Protocol):\n" + docstring(gen.doc, "    ") +
            "    parameters: list[str]\n" + method("def __call__", result) +
            method("async def aio", result) +
            method("def stream", "_espalier.Stream[" + result + "]") + method("def render", "str") +
            "\n";
    return "    " + gen.name + ": " + name + "\n";
  }

  const Program& program_;
  std::string out_;
  std::set<std::string, std::less<>> taken_;
  std::map<std::string, std::string> names_;  // of declared types
  std::set<std::string> written_;
  std::map<const Type*, std::string> anonymous_;
  std::map<std::string, std::string> calls_;  // by the tool's name
};

}  // namespace

std::string python_stub(const Program& program) { return Stub(program).run(); }

}  // namespace espalier::dsl
