#include "python/grammar_module.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/cache_folder.h"
#include "base/system.h"
#include "dsl/program.h"
#include "grammar/grammar_source.h"
#include "grammar/json_schema.h"
#include "grammar/json_text.h"
#include "grammar/mask_rows.h"
#include "grammar/matcher.h"
#include "python/python_error.h"
#include "runtime/model/model.h"
#include "runtime/store/model_store.h"
#include "runtime/tokenizer/hf_tokenizer_json.h"

namespace py = pybind11;

namespace espalier::python {
namespace {

// A getter that lets other threads run: properties take no call_guard themselves.
template <typename Getter>
py::cpp_function without_gil(Getter getter) {
  return py::cpp_function(getter, py::call_guard<py::gil_scoped_release>());
}

constexpr std::uint32_t kNoBudget = 1u << 30;  // tokens: what no text of a grammar needs

struct Vocabulary {
  grammar::VocabularyRef ref;
};

struct Grammar {
  grammar::GrammarRef ref;
  grammar::ContextFreeReport report;
  grammar::GrammarSource source;
};

// A place in a text, with the places before it: what rollback goes back to.
class Matcher {
 public:
  explicit Matcher(grammar::GrammarRef grammar)
      : grammar_(std::move(grammar)), places_{grammar_->start()} {}

  [[nodiscard]] const grammar::Matcher& at() const { return places_.back(); }
  [[nodiscard]] const grammar::Grammar& grammar() const { return *grammar_; }

  bool accept(TokenId id) {
    grammar::Matcher next = places_.back();
    if (!next.advance(id)) return false;
    places_.push_back(std::move(next));
    return true;
  }
  std::size_t accept_all(const std::vector<TokenId>& ids) {
    std::size_t taken = 0;
    while (taken < ids.size() && accept(ids[taken])) ++taken;
    return taken;
  }
  [[nodiscard]] std::size_t tokens() const { return places_.size() - 1; }
  Status rollback(std::size_t tokens) {
    if (tokens > this->tokens()) {
      return fail(ErrorCode::kInvalid, "rollback(" + std::to_string(tokens) + "): only " +
                                           std::to_string(this->tokens()) +
                                           " tokens were accepted");
    }
    places_.resize(places_.size() - tokens);
    return {};
  }
  void reset() { places_.resize(1); }

 private:
  grammar::GrammarRef grammar_;
  std::vector<grammar::Matcher> places_;
};

constexpr std::pair<std::string_view, grammar::GrammarKind> kKinds[] = {
    {"type", grammar::GrammarKind::kType},   {"schema", grammar::GrammarKind::kSchema},
    {"regex", grammar::GrammarKind::kRegex}, {"gbnf", grammar::GrammarKind::kGbnf},
    {"lark", grammar::GrammarKind::kLark},
};

// JSON texts by URI.
using Documents = std::map<std::string, std::string>;

grammar::SchemaOptions schema_options(const std::string& order, bool strict, bool formats,
                                      bool unknown_keywords, Documents documents) {
  grammar::SchemaOptions options;
  if (order != "free" && order != "declared") {
    raise({ErrorCode::kInvalid, "order is \"free\" or \"declared\", not \"" + order + "\""});
  }
  options.order =
      order == "declared" ? grammar::MemberOrder::kDeclared : grammar::MemberOrder::kFree;
  options.strict = strict;
  options.formats = formats;
  options.unknown_keywords = unknown_keywords;
  options.resolver = grammar::resolver_of(std::move(documents));
  return options;
}

Result<Grammar> compile(const Vocabulary& vocabulary, grammar::GrammarSource source) {
  if (source.kind != grammar::GrammarKind::kType) {
    ESP_ASSIGN(grammar::ContextFreeGrammar made, grammar::compile(vocabulary.ref, source));
    return Grammar{std::move(made.grammar), std::move(made.report), std::move(source)};
  }
  const auto compiled = dsl::compile("type", "type Answer = " + source.text + "\n");
  const dsl::TypeInfo* info =
      compiled.program == nullptr ? nullptr : compiled.program->type("Answer");
  if (info == nullptr || info->type == nullptr) {
    return fail(ErrorCode::kInvalid, "this is no type of the language\n" +
                                         dsl::render(compiled.diagnostics, compiled.sources));
  }
  const grammar::TypeRef type(compiled.program, info->type.get());
  ESP_ASSIGN(grammar::GrammarRef ref,
             grammar::compile(vocabulary.ref, type, source.follow, source.limits));
  return Grammar{std::move(ref), {}, std::move(source)};
}

py::list outcome_list(const std::vector<grammar::KeywordOutcome>& outcomes) {
  py::list out;
  for (const grammar::KeywordOutcome& o : outcomes) {
    out.append(py::make_tuple(o.pointer, std::string(name(o.kind)), o.reason));
  }
  return out;
}

Result<Vocabulary> vocabulary_of_gguf(const std::string& model) {
  ESP_ASSIGN(const auto store, runtime::ModelStore::open(real_system()));
  ESP_ASSIGN(const std::string path, store.resolve(model));
  ESP_ASSIGN(const auto loaded, runtime::Model::load(path, real_system()));
  // The tokenizer may spell canonically from what the model holds: both live on.
  return Vocabulary{grammar::VocabularyRef(loaded, loaded->tokenizer()->vocabulary().get())};
}

// As Model::load has it for the vocabularies of models.
void keep_tables(const grammar::VocabularyRef& vocabulary) {
  if (auto folder = cache_folder("grammar", real_system()))
    grammar::keep_tables(vocabulary, std::move(*folder), real_system());
}

Result<Vocabulary> vocabulary_of_tokenizer_json(const std::string& path) {
  ESP_ASSIGN(const std::string text, real_system().read(path, runtime::kMaxTokenizerJsonBytes));
  ESP_ASSIGN(const auto tokenizer, runtime::load_hf_tokenizer_json(text, path));
  keep_tables(tokenizer->vocabulary());
  return Vocabulary{grammar::VocabularyRef(tokenizer, tokenizer->vocabulary().get())};
}

// Rows of 32-bit words, as an array that Python code holds.
class Bitmask {
 public:
  Bitmask(const py::buffer& buffer, std::size_t vocabulary) : words_((vocabulary + 31) / 32) {
    try {
      info_ = buffer.request(true);
    } catch (py::error_already_set& error) {  // numpy's ValueError, BufferError of others
      wrong(std::string("cannot be written: ") + py::str(error.value()).cast<std::string>());
    }
    const bool integers = info_.itemsize == 4 && (info_.format == "i" || info_.format == "I" ||
                                                  info_.format == "l" || info_.format == "L");
    if (!integers) wrong("must hold 32-bit integers");
    if (info_.ndim != 1 && info_.ndim != 2) wrong("must have the shape (words,) or (rows, words)");
    if (static_cast<std::size_t>(info_.shape[info_.ndim - 1]) != words_) {
      wrong("must have rows of " + std::to_string(words_) + " words for this vocabulary, not " +
            std::to_string(info_.shape[info_.ndim - 1]));
    }
    if (info_.strides[info_.ndim - 1] != 4) wrong("must have contiguous rows");
  }
  [[nodiscard]] std::size_t rows() const {
    return info_.ndim == 1 ? 1 : static_cast<std::size_t>(info_.shape[0]);
  }
  void check_row(std::size_t row) const {
    if (row >= rows()) {
      wrong("has " + std::to_string(rows()) + " rows; there is no row " + std::to_string(row));
    }
  }
  // Little-endian halves of 64-bit words are the 32-bit words.
  [[nodiscard]] grammar::BitRows bits() const {
    return {static_cast<std::byte*>(info_.ptr),
            info_.ndim == 2 ? static_cast<std::ptrdiff_t>(info_.strides[0]) : 0, words_ * 4};
  }

 private:
  [[noreturn]] static void wrong(const std::string& what) {
    raise({ErrorCode::kInvalid, "the bitmask " + what});
  }
  std::size_t words_;
  py::buffer_info info_;
};

// All over one size of vocabulary.
std::vector<grammar::RowRequest> requests_of(const std::vector<Matcher*>& matchers,
                                             std::size_t vocabulary,
                                             std::optional<std::uint32_t> tokens_left) {
  std::vector<grammar::RowRequest> out;
  for (const Matcher* m : matchers) {
    if (m->grammar().vocabulary()->size() != vocabulary) {
      raise({ErrorCode::kInvalid, "the matchers are over vocabularies of different sizes"});
    }
    out.push_back({&m->at(), tokens_left.value_or(kNoBudget)});
  }
  return out;
}

void fill_batch(const std::vector<Matcher*>& matchers, const py::buffer& buffer,
                const std::vector<std::size_t>& rows, std::optional<std::uint32_t> tokens_left,
                unsigned threads) {
  if (matchers.empty()) return;
  const std::size_t size = matchers[0]->grammar().vocabulary()->size();
  const auto requests = requests_of(matchers, size, tokens_left);
  const Bitmask bitmask(buffer, size);
  for (const std::size_t row : rows) bitmask.check_row(row);
  const py::gil_scoped_release unlocked;
  grammar::fill_rows(requests, rows, bitmask.bits(), threads);
}

// A table of masks with the lock that Python's threads need.
class MaskSlots {
 public:
  MaskSlots(std::size_t vocabulary, std::size_t capacity)
      : vocabulary_(vocabulary), slots_(unwrap(grammar::MaskSlots::create(vocabulary, capacity))) {}

  std::pair<std::vector<std::uint32_t>, std::vector<std::uint32_t>> assign(
      const std::vector<Matcher*>& matchers, std::optional<std::uint32_t> tokens_left,
      unsigned threads) {
    const auto requests = requests_of(matchers, vocabulary_, tokens_left);
    Result<grammar::MaskSlots::Assigned> assigned = fail(ErrorCode::kInternal, "");
    {
      const py::gil_scoped_release unlocked;
      const auto masks = grammar::masks_of(requests, threads);
      const std::lock_guard lock(mutex_);
      assigned = slots_.assign(masks);
    }
    auto out = unwrap(std::move(assigned));
    return {std::move(out.slots), std::move(out.changed)};
  }
  [[nodiscard]] std::size_t capacity() const { return slots_.capacity(); }
  // Rows of 32-bit words, which belong to this object; the last word of a row may be padding.
  [[nodiscard]] py::buffer_info table() {
    const auto row = static_cast<py::ssize_t>(slots_.row_words() * sizeof(std::uint64_t));
    const auto words = static_cast<py::ssize_t>((vocabulary_ + 31) / 32);
    auto* data = reinterpret_cast<std::int32_t*>(const_cast<std::uint64_t*>(slots_.words().data()));
    return py::buffer_info(
        data, sizeof(std::int32_t), py::format_descriptor<std::int32_t>::format(), 2,
        {static_cast<py::ssize_t>(slots_.capacity()), words}, {row, py::ssize_t{4}}, true);
  }

 private:
  std::size_t vocabulary_;
  std::mutex mutex_;
  grammar::MaskSlots slots_;
};

}  // namespace

void bind_grammar(py::module_& module) {
  py::class_<Vocabulary>(module, "Vocabulary")
      .def_static("from_gguf",
                  [](const std::string& model) {
                    Result<Vocabulary> vocabulary = fail(ErrorCode::kInternal, "");
                    {
                      const py::gil_scoped_release unlocked;
                      vocabulary = vocabulary_of_gguf(model);
                    }
                    return unwrap(std::move(vocabulary));
                  })
      .def_static("from_tokenizer_json",
                  [](const std::string& path) {
                    Result<Vocabulary> vocabulary = fail(ErrorCode::kInternal, "");
                    {
                      const py::gil_scoped_release unlocked;
                      vocabulary = vocabulary_of_tokenizer_json(path);
                    }
                    return unwrap(std::move(vocabulary));
                  })
      .def_static("from_bytes",
                  [](std::vector<std::string> tokens, std::optional<TokenId> end,
                     std::vector<TokenId> also_end) {
                    grammar::Vocabulary::Spec spec;
                    spec.bytes = std::move(tokens);
                    spec.end_of_turn = end.value_or(kNoToken);
                    spec.also_end = std::move(also_end);
                    Result<grammar::VocabularyRef> made = fail(ErrorCode::kInternal, "");
                    {
                      const py::gil_scoped_release unlocked;
                      made = grammar::Vocabulary::create(std::move(spec));
                      if (made) keep_tables(*made);
                    }
                    return Vocabulary{unwrap(std::move(made))};
                  })
      .def("__len__", [](const Vocabulary& v) { return v.ref->size(); })
      .def("bytes",
           [](const Vocabulary& v, TokenId id) {
             if (id < 0 || static_cast<std::size_t>(id) >= v.ref->size()) {
               raise({ErrorCode::kInvalid, "there is no token " + std::to_string(id)});
             }
             return py::bytes(std::string(v.ref->bytes(id)));
           })
      .def_property_readonly("end_of_turn", [](const Vocabulary& v) -> std::optional<TokenId> {
        if (v.ref->end_of_turn() == kNoToken) return std::nullopt;
        return v.ref->end_of_turn();
      });

  py::class_<Grammar>(module, "Grammar")
      .def_static("compile",
                  [](const Vocabulary& vocabulary, const std::string& kind, const std::string& text,
                     const std::string& follow, std::uint64_t compile_fuel,
                     std::uint64_t state_bytes, std::uint32_t max_depth, const std::string& order,
                     bool strict, bool formats, bool unknown_keywords, Documents documents) {
                    grammar::GrammarSource source;
                    for (const auto& [name, own] : kKinds) {
                      if (name == kind) source.kind = own;
                    }
                    source.text = text;
                    source.follow = follow;
                    source.limits = {compile_fuel, state_bytes, max_depth};
                    source.schema = schema_options(order, strict, formats, unknown_keywords,
                                                   std::move(documents));
                    Result<Grammar> grammar = fail(ErrorCode::kInternal, "");
                    {
                      const py::gil_scoped_release unlocked;
                      grammar = compile(vocabulary, std::move(source));
                    }
                    return unwrap(std::move(grammar));
                  })
      .def_static("restore",
                  [](const Vocabulary& vocabulary, const py::bytes& stored) {
                    const auto bytes = static_cast<std::string>(stored);
                    Result<Grammar> grammar = fail(ErrorCode::kInternal, "");
                    {
                      const py::gil_scoped_release unlocked;
                      auto source = grammar::restore(bytes, *vocabulary.ref);
                      if (source) {
                        grammar = compile(vocabulary, std::move(*source));
                      } else {
                        grammar = fail(std::move(source).error());
                      }
                    }
                    return unwrap(std::move(grammar));
                  })
      .def("store",
           [](const Grammar& g) {
             return py::bytes(unwrap(grammar::store(g.source, *g.ref->vocabulary())));
           })
      .def("outcomes",
           [](const Grammar& g) {
             if (g.source.kind != grammar::GrammarKind::kSchema) return py::list();
             Json schema = unwrap(read_json_exactly(g.source.text));
             return outcome_list(
                 unwrap(grammar::schema_outcomes(schema, g.source.schema, g.source.limits)));
           })
      .def(
          "matcher", [](const Grammar& g) { return Matcher(g.ref); },
          py::call_guard<py::gil_scoped_release>())
      .def_property_readonly("vocabulary_size",
                             [](const Grammar& g) { return g.ref->vocabulary()->size(); })
      .def_property_readonly("least_tokens",
                             without_gil([](const Grammar& g) { return g.ref->least_tokens(); }))
      .def_property_readonly("prefix_free", [](const Grammar& g) { return g.ref->prefix_free(); })
      .def_property_readonly("unreachable", [](const Grammar& g) { return g.report.unreachable; })
      .def_property_readonly("unproductive", [](const Grammar& g) { return g.report.unproductive; })
      .def_property_readonly("size", [](const Grammar& g) {
        const grammar::GrammarSize size = g.ref->size();
        py::dict out;
        out["expressions"] = size.expressions;
        out["rules"] = size.rules;
        out["state_bytes"] = size.state_bytes;
        return out;
      });

  py::class_<Matcher>(module, "Matcher")
      .def("accept", &Matcher::accept, py::call_guard<py::gil_scoped_release>())
      .def("accept_all", &Matcher::accept_all, py::call_guard<py::gil_scoped_release>())
      .def("rollback",
           [](Matcher& m, std::size_t tokens) {
             if (const Status status = m.rollback(tokens); !status) raise(status.error());
           })
      .def("reset", &Matcher::reset)
      .def("fork", [](const Matcher& m) { return m; })
      .def("fill_bitmask",
           [](Matcher& m, const py::buffer& buffer, std::size_t row,
              std::optional<std::uint32_t> left) { fill_batch({&m}, buffer, {row}, left, 1); })
      .def(
          "allows", [](const Matcher& m, TokenId id) { return m.at().mask(kNoBudget)->allows(id); },
          py::call_guard<py::gil_scoped_release>())
      .def(
          "forced_tokens",
          [](const Matcher& m, std::optional<std::uint32_t> left) {
            return m.at().forced(left.value_or(kNoBudget));
          },
          py::call_guard<py::gil_scoped_release>())
      .def_property_readonly("is_accepting",
                             without_gil([](const Matcher& m) { return m.at().accepting(); }))
      .def_property_readonly("is_done", without_gil([](const Matcher& m) { return m.at().done(); }))
      .def_property_readonly("tokens", &Matcher::tokens)
      .def(
          "distance_to_accept", [](const Matcher& m) { return m.at().distance(); },
          py::call_guard<py::gil_scoped_release>())
      .def("text",
           [](const Matcher& m) {
             std::string text;
             {
               const py::gil_scoped_release unlocked;
               text = m.at().text();
             }
             return py::bytes(text);
           })
      .def("value_json", [](const Matcher& m) {
        std::string json;
        {
          const py::gil_scoped_release unlocked;
          json = write_json(m.at().accepting() ? m.at().value() : m.at().partial());
        }
        return json;
      });

  module.def("schema_outcomes", [](const std::string& schema, const std::string& order, bool strict,
                                   bool formats, bool unknown_keywords, Documents documents) {
    return outcome_list(unwrap(grammar::schema_outcomes(
        unwrap(read_json_exactly(schema)),
        schema_options(order, strict, formats, unknown_keywords, std::move(documents)))));
  });
  module.def("fill_bitmasks", [](const std::vector<Matcher*>& matchers, const py::buffer& buffer,
                                 const std::vector<std::size_t>& rows,
                                 std::optional<std::uint32_t> left, unsigned threads) {
    if (rows.size() != matchers.size()) {
      raise({ErrorCode::kInvalid, "there must be one row for each matcher"});
    }
    fill_batch(matchers, buffer, rows, left, threads);
  });
  module.def("set_grammar_cache_limit", &grammar::set_cache_limit);
  module.def("grammar_cache_limit", &grammar::cache_limit);
  module.def("grammar_cache_bytes", &grammar::cache_bytes);
  py::class_<MaskSlots>(module, "MaskSlots", py::buffer_protocol())
      .def(py::init<std::size_t, std::size_t>())
      .def("assign", &MaskSlots::assign)
      .def_property_readonly("capacity", &MaskSlots::capacity)
      .def_buffer(&MaskSlots::table);
}

}  // namespace espalier::python
