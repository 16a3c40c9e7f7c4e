#include "dsl/program.h"

#include <algorithm>

#include "dsl/check.h"
#include "dsl/loader.h"

namespace espalier::dsl {
namespace {

template <class T, class Same>
const T* find(const std::vector<T>& all, Same same) {
  const auto at = std::find_if(all.begin(), all.end(), same);
  return at == all.end() ? nullptr : &*at;
}

}  // namespace

std::vector<const GenInfo*> Program::own_gens() const {
  std::vector<const GenInfo*> out;
  for (const GenInfo& one : gens)
    if (one.decl->name.span.file == 0) out.push_back(&one);
  return out;
}
const GenInfo* Program::gen(std::string_view name) const {
  return find(gens,
              [&](const GenInfo& g) { return g.name == name && g.decl->name.span.file == 0; });
}
const ToolInfo* Program::tool(std::string_view name) const {
  return find(tools, [&](const ToolInfo& t) { return t.name == name; });
}
const ToolInfo* Program::tool_by_real_name(std::string_view name) const {
  return find(tools, [&](const ToolInfo& t) { return t.real_name == name; });
}
const TypeInfo* Program::type(std::string_view name) const {
  return find(types, [&](const TypeInfo& t) { return t.name == name; });
}

Compiled compile(std::string name, std::string text, const ReadFile& read,
                 std::set<std::string> of_caller) {
  Compiled result;
  auto program = std::make_shared<Program>();
  program->of_caller = std::move(of_caller);
  const Loaded loaded = load(*program, std::move(name), std::move(text), read, result.diagnostics);
  result.sources = program->sources;
  if (!loaded.complete) return result;
  check(*program, loaded, read, result.diagnostics);
  if (!result.diagnostics.has_errors()) result.program = std::move(program);
  return result;
}

}  // namespace espalier::dsl
