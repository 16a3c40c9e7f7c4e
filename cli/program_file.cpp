#include "cli/program_file.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <ostream>
#include <utility>

#include "base/utf8.h"
#include "cli/input_text.h"
#include "cli/options.h"
#include "cli/suggest.h"
#include "dsl/convert.h"
#include "grammar/json_text.h"

namespace espalier::cli {
namespace {

bool is_name(std::string_view text) {
  return !text.empty() && !(text[0] >= '0' && text[0] <= '9') &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_';
         });
}

std::vector<std::string> gen_names(const dsl::Program& program) {
  std::vector<std::string> names;
  for (const dsl::GenInfo* gen : program.own_gens()) names.push_back(gen->name);
  return names;
}

std::string list_of(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// The files of the same folder whose names come near.
std::string near_files(const std::string& path, System& system) {
  const std::filesystem::path place(path);
  const std::string folder = place.parent_path().string();
  const auto names = system.list(folder.empty() ? "." : folder);
  if (!names) return {};
  std::vector<std::string> programs;
  for (const std::string& name : *names) {
    if (name.ends_with(".gen")) programs.push_back(folder.empty() ? name : folder + "/" + name);
  }
  return did_you_mean(path, programs);
}

// "; did you mean 'b'? It has: b, c", for a name that is none of these.
std::string instead_of(const std::string& wanted, const std::vector<std::string>& names) {
  const std::string meant = did_you_mean(wanted, names);
  if (names.empty()) return meant;
  return (meant.empty() ? "." : meant) + " It has: " + list_of(names);
}

}  // namespace

dsl::ReadFile reader(System& system) {
  return [&system](const std::string& path) { return system.read(path, dsl::kMaxSource); };
}

Json ProgramFile::contents() const {
  if (program->sources.size() == 1 && program->schemas.empty()) return text;
  Json out = Json::object();
  for (const dsl::Source& source : program->sources) out[source.name()] = source.text();
  for (const auto& [name, schema] : program->schemas) out[name] = schema;
  return out;
}

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

std::string ProgramFile::directory() const { return folder_of(path); }

Result<OpenedProgram> open_program(const std::string& argument, std::string_view verb,
                                   Context& context) {
  OpenedProgram opened;
  ProgramFile& file = opened.file;
  std::string wanted;
  file.path = argument;
  // A file whose very name has a colon wins over FILE:GEN.
  if (const auto colon = argument.rfind(':');
      colon != std::string::npos && colon > 0 &&
      is_name(std::string_view(argument).substr(colon + 1)) && !context.system.info(argument)) {
    file.path = argument.substr(0, colon);
    wanted = argument.substr(colon + 1);
  }
  auto text = read_named(file.path, dsl::kMaxSource, context);
  if (!text) {
    const bool absent = text.error().code == ErrorCode::kNotFound;
    return fail(text.error().code, absent ? "there is no program '" + file.path + "'" +
                                                near_files(file.path, context.system)
                                          : text.error().message);
  }
  file.text = std::move(*text);
  auto compiled = dsl::compile(file.path, file.text, reader(context.system));
  if (compiled.diagnostics.size() > 0) {
    context.console.err() << printable(dsl::render(compiled.diagnostics, compiled.sources))
                          << std::flush;
  }
  if (compiled.program == nullptr) {
    const std::size_t errors = compiled.diagnostics.errors();
    return fail(ErrorCode::kInvalid, "'" + file.path + "' has " + std::to_string(errors) +
                                         (errors == 1 ? " error" : " errors") +
                                         "; nothing was run");
  }
  file.program = std::move(compiled.program);
  const auto names = gen_names(*file.program);
  const auto usage = [&](const std::string& message) {
    opened.code = usage_error(context, verb, message);
    return opened;
  };
  if (!wanted.empty()) {
    file.gen = file.program->gen(wanted);
    if (file.gen == nullptr) {
      return usage("'" + file.path + "' has no generator '" + wanted + "'" +
                   instead_of(wanted, names));
    }
    return opened;
  }
  if (names.size() == 1) {
    file.gen = file.program->own_gens().front();
  } else {
    file.gen = file.program->gen(std::filesystem::path(file.path).stem().string());
    if (file.gen == nullptr) file.gen = file.program->gen("main");
  }
  if (file.gen == nullptr) {
    return usage(names.empty()
                     ? "'" + file.path + "' has no generator to run"
                     : "'" + file.path + "' has several generators; name one: " + file.path + ":" +
                           names.front() + " (it has: " + list_of(names) + ")");
  }
  return opened;
}

void ProgramArguments::declare(CLI::App& app) {
  app.add_option("--arg", named_,
                 "An argument: text as it stands for a string, JSON for other "
                 "types; name=@FILE reads a file, "
                 "name=@@… is a text that begins with @")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  add_text(app, "--args", object_, "JSON",
           "Arguments as one JSON object; @FILE reads it from a file");
}

Result<Json> ProgramArguments::read(const std::vector<dsl::Parameter>& parameters,
                                    Context& context) const {
  Json arguments = Json::object();
  if (object_) {
    std::string text = *object_;
    if (text.starts_with('@')) {
      ESP_ASSIGN(text, read_text(text.substr(1), context));
    }
    auto object = read_json(text);
    if (!object) return fail(std::move(object).error().within("--args"));
    if (!object->is_object()) {
      return fail(ErrorCode::kInvalid,
                  std::string("--args takes a JSON object, not ") + object->type_name());
    }
    arguments = std::move(*object);
  }
  std::vector<std::string> names;
  names.reserve(parameters.size());
  for (const dsl::Parameter& parameter : parameters) names.push_back(parameter.name);
  for (const std::string& given : named_) {
    const auto equals = given.find('=');
    if (equals == std::string::npos || equals == 0) {
      return fail(ErrorCode::kInvalid, "--arg takes NAME=VALUE, not '" + given + "'");
    }
    const std::string name = given.substr(0, equals);
    const auto parameter =
        std::find_if(parameters.begin(), parameters.end(), [&](const dsl::Parameter& candidate) {
          return candidate.name == name || candidate.key == name;
        });
    if (parameter == parameters.end()) {
      return fail(ErrorCode::kInvalid,
                  "the generator has no parameter '" + name + "'" + instead_of(name, names));
    }
    std::string value = given.substr(equals + 1);
    if (value.starts_with("@@")) {
      value.erase(0, 1);
    } else if (value.starts_with('@')) {
      const std::string path = value.substr(1);
      ESP_ASSIGN(value, read_text(path, context));
    }
    if (const auto at = utf8::find_malformed(value); at != std::string_view::npos) {
      return fail(ErrorCode::kInvalid, "argument '" + name + "' is not UTF-8: byte " +
                                           std::to_string(at) + " is malformed");
    }
    arguments[parameter->key] = dsl::argument_from_text(parameter->type, value);
  }
  return arguments;
}

}  // namespace espalier::cli
