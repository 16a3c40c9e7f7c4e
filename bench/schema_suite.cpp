// JSON-Schema-Test-Suite: verdicts over a folder of its files, as one JSON object.
//
//   schema_suite DIR [--remotes DIR] [--draft 4|6|7|2019-09|2020-12] [--formats] [--verbose]
//   [--table]
//
// DIR's *.json files (its sub-folders are folders of their own: give them by name). --remotes
// serves http://localhost:1234/ from a folder, as the suite has it. `format` annotates unless
// --formats. Strict: what is not enforced is refused. --table prints a Markdown row a file instead
// of JSON: the support table of docs/grammar.md. Exit code 1 where an invalid instance was
// accepted.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "bench/bench_files.h"
#include "grammar/json_schema.h"

int main(int argc, char** argv) {
  using namespace espalier;
  using namespace espalier::grammar;
  CLI::App app("JSON-Schema-Test-Suite");
  std::string folder, remotes, draft;
  bool formats = false;
  bool verbose = false;
  bool table = false;
  app.add_option("folder", folder, "of the suite's files")->required();
  app.add_option("--remotes", remotes, "served as http://localhost:1234/");
  app.add_option("--draft", draft, "4, 6, 7, 2019-09 or 2020-12");
  app.add_flag("--formats", formats, "`format` asserts");
  app.add_flag("--verbose", verbose, "print each refusal and each wrong verdict");
  app.add_flag("--table", table, "print the rows of a Markdown table");
  CLI11_PARSE(app, argc, argv);
  SchemaOptions options;
  options.unknown_keywords = true;
  options.formats = formats;
  options.draft = SchemaDraft::k2020;
  const std::map<std::string, SchemaDraft> drafts = {{"4", SchemaDraft::k4},
                                                     {"6", SchemaDraft::k6},
                                                     {"7", SchemaDraft::k7},
                                                     {"2019-09", SchemaDraft::k2019},
                                                     {"2020-12", SchemaDraft::k2020}};
  if (!draft.empty()) {
    const auto it = drafts.find(draft);
    if (it == drafts.end()) {
      std::fprintf(stderr, "schema_suite: no draft `%s`\n", draft.c_str());
      return 2;
    }
    options.draft = it->second;
  }
  if (!remotes.empty()) {
    options.resolver = [&](const std::string& uri) -> Result<Json> {
      const std::string server = "http://localhost:1234/";
      if (!uri.starts_with(server))
        return fail(ErrorCode::kUnsupported, "no document at `" + uri + "`");
      ESP_ASSIGN(const std::string text,
                 bench::read_file(remotes + "/" + uri.substr(server.size())));
      Json document = Json::parse(text, nullptr, false);
      if (document.is_discarded()) return fail(ErrorCode::kInvalid, uri + ": not JSON");
      return document;
    };
  }
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(folder, error)) {
    if (file.path().extension() == ".json") files.push_back(file.path());
  }
  if (error || files.empty()) {
    std::fprintf(stderr, "schema_suite: no *.json in %s\n", folder.c_str());
    return 2;
  }
  std::sort(files.begin(), files.end());
  const VocabularyRef vocabulary = bench::read_vocabulary("bytes").value();
  std::size_t groups = 0, refused_groups = 0, tests = 0, passed = 0, refused = 0, accepts = 0,
              rejects = 0;
  Json by_keyword = Json::object();
  for (const auto& path : files) {
    const auto text = bench::read_file(path.string());
    const Json content = text ? Json::parse(*text, nullptr, false) : Json();
    if (!content.is_array()) {
      std::fprintf(stderr, "schema_suite: %s is no file of the suite\n", path.c_str());
      return 2;
    }
    std::size_t own_passed = 0, own_tests = 0;
    for (const Json& group : content) {
      ++groups;
      const auto grammar = compile_json_schema(vocabulary, group["schema"], {}, options);
      // That no value satisfies a schema is a verdict: all instances are rejected.
      const bool none =
          !grammar && grammar.error().message.find("no value satisfies") != std::string::npos;
      if (!grammar && !none) {
        ++refused_groups;
        if (verbose) {
          std::printf("refused: %s: %s: %s\n", path.stem().c_str(),
                      group["description"].get<std::string>().c_str(),
                      grammar.error().message.c_str());
        }
      }
      for (const Json& test : group["tests"]) {
        ++tests;
        ++own_tests;
        if (!grammar && !none) {
          ++refused;
          continue;
        }
        bool accepted = !none;
        if (accepted) {
          Matcher matcher = (*grammar)->start();
          for (const char c : test["data"].dump(-1, ' ', false, Json::error_handler_t::replace)) {
            accepted = accepted && matcher.advance(static_cast<unsigned char>(c));
          }
          accepted = accepted && matcher.accepting();
        }
        const bool valid = test["valid"].get<bool>();
        passed += accepted == valid ? 1 : 0;
        own_passed += accepted == valid ? 1 : 0;
        accepts += accepted && !valid ? 1 : 0;
        rejects += !accepted && valid ? 1 : 0;
        if (verbose && accepted != valid) {
          std::printf("%s: %s: %s: %s\n", accepted ? "FALSE ACCEPT" : "false reject",
                      path.stem().c_str(), group["description"].get<std::string>().c_str(),
                      test["description"].get<std::string>().c_str());
        }
      }
    }
    by_keyword[path.stem().string()] = {{"passed", own_passed}, {"tests", own_tests}};
  }
  if (table) {
    for (const auto& [name, own] : by_keyword.items()) {
      std::printf("| `%s` | %zu | %zu |\n", name.c_str(), own["passed"].get<std::size_t>(),
                  own["tests"].get<std::size_t>());
    }
    return accepts == 0 ? 0 : 1;
  }
  const Json out = {{"groups", groups},         {"refused_groups", refused_groups},
                    {"tests", tests},           {"passed", passed},
                    {"refused", refused},       {"false_accepts", accepts},
                    {"false_rejects", rejects}, {"by_file", by_keyword}};
  std::printf("%s\n", out.dump(2).c_str());
  return accepts == 0 ? 0 : 1;
}
