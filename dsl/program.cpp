#include "dsl/program.h"

#include <algorithm>

#include "dsl/check.h"
#include "dsl/parser.h"

namespace espalier::dsl {
namespace {

template <class T, class Same>
const T* find(const std::vector<T>& all, Same same) {
  const auto at = std::find_if(all.begin(), all.end(), same);
  return at == all.end() ? nullptr : &*at;
}

}  // namespace

const GenInfo* Program::gen(std::string_view name) const {
  return find(gens, [&](const GenInfo& g) { return g.name == name; });
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

Compiled compile(std::string name, std::string text) {
  Compiled result;
  result.sources.emplace_back(std::move(name), std::move(text));
  auto program = std::make_shared<Program>();
  program->sources = result.sources;
  Parsed parsed = parse(program->sources[0], 0, result.diagnostics);
  if (!parsed.complete) return result;
  program->file = std::move(parsed.file);
  check(*program, parsed.skipped, result.diagnostics);
  if (!result.diagnostics.has_errors()) result.program = std::move(program);
  return result;
}

}  // namespace espalier::dsl
