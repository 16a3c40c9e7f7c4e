// The language server over its streams, as a client would use it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <sstream>

#include "cli/lsp/file_uri.h"
#include "cli/lsp/framing.h"
#include "cli/lsp/text_position.h"
#include "tests/cli/command_line.h"

namespace espalier::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string frame(const std::string& body) {
  return "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

/// The server's answers to what a client sends, in order.
class Session {
 public:
  explicit Session(const std::string& capabilities = "{}", const std::string& more = "") {
    request("initialize", R"({"capabilities":)" + capabilities + more + "}");
  }
  int request(const std::string& method, const std::string& params) {
    raw(R"({"jsonrpc":"2.0","id":)" + std::to_string(++id_) + R"(,"method":")" + method +
        R"(","params":)" + params + "}");
    return id_;
  }
  void notify(const std::string& method, const std::string& params) {
    raw(R"({"jsonrpc":"2.0","method":")" + method + R"(","params":)" + params + "}");
  }
  void raw(const std::string& body) { input_ += frame(body); }
  void bytes(const std::string& bytes) { input_ += bytes; }
  void open(const std::string& uri, const std::string& text) {
    notify("textDocument/didOpen",
           Json{{"textDocument",
                 {{"uri", uri}, {"languageId", "gen"}, {"version", 1}, {"text", text}}}}
               .dump());
  }
  int at(const std::string& method, int line, int character, const std::string& more = "") {
    return request(method, R"({"textDocument":{"uri":"file:///a.gen"},"position":{"line":)" +
                               std::to_string(line) + R"(,"character":)" +
                               std::to_string(character) + "}" + more + "}");
  }
  int of(const std::string& method, const std::string& more = "") {
    return request(method, R"({"textDocument":{"uri":"file:///a.gen"})" + more + "}");
  }
  void end() {
    request("shutdown", "null");
    notify("exit", "null");
    ran_ = run_line({"lsp"}, input_);
    std::istringstream out(ran_.out);
    lsp::MessageReader reader(out);
    while (const auto message = reader.next()) {
      ASSERT_FALSE(message->broken) << message->text;
      messages_.push_back(Json::parse(message->text));
    }
  }
  [[nodiscard]] Json answer(int id) const {
    for (const Json& one : messages_)
      if (one.contains("id") && one["id"] == id) return one;
    return nullptr;
  }
  [[nodiscard]] Json result(int id) const {
    const Json found = answer(id);
    return found.is_object() ? found.value("result", Json("no result: " + found.dump()))
                             : Json("no answer");
  }
  [[nodiscard]] int error(int id) const {
    const Json found = answer(id);
    return found.is_object() && found.contains("error") ? found["error"]["code"].get<int>() : 0;
  }
  /// Errors that answer to no request.
  [[nodiscard]] std::vector<int> complaints() const {
    std::vector<int> out;
    for (const Json& one : messages_)
      if (one.contains("error") && one["id"].is_null())
        out.push_back(one["error"]["code"].get<int>());
    return out;
  }
  /// The diagnostics of a file that were told last.
  [[nodiscard]] Json diagnostics(const std::string& uri = "file:///a.gen") const {
    Json last;
    for (const Json& one : messages_)
      if (one.value("method", "") == "textDocument/publishDiagnostics" &&
          one["params"]["uri"] == uri)
        last = one["params"]["diagnostics"];
    return last;
  }
  [[nodiscard]] const Ran& ran() const { return ran_; }
  [[nodiscard]] const std::vector<Json>& messages() const { return messages_; }

 private:
  std::string input_;
  int id_ = 0;
  Ran ran_;
  std::vector<Json> messages_;
};

constexpr const char* kProgram =
    "/// Says hello.\n"
    "gen greet(name: string) -> line {\n"
    "  user \"Say 𝄞 to ${name}.\"\n"
    "  assistant \"$[reply: line, max=40]\"\n"
    "  return reply\n"
    "}\n";

TEST(LanguageServer, SaysWhatItCanDoAndEndsWell) {
  Session session;
  session.end();
  EXPECT_EQ(session.ran().code, kDone);
  EXPECT_EQ(session.result(1)["capabilities"]["positionEncoding"], "utf-16");
  EXPECT_EQ(session.result(1)["capabilities"]["textDocumentSync"]["change"], 2);
  EXPECT_TRUE(session.result(2).is_null());
  EXPECT_THAT(session.ran().err, IsEmpty());
}

TEST(LanguageServer, EndingWithoutShutdownIsAFailure) {
  EXPECT_EQ(run_line({"lsp"}, frame(R"({"jsonrpc":"2.0","method":"exit"})")).code, kFailed);
  EXPECT_EQ(run_line({"lsp"}, "").code, kFailed);
}

TEST(LanguageServer, DiagnosticsHaveTheirNotesAndFixes) {
  Session session;
  session.open("file:///a.gen",
               "gen f() -> string {\n  user \"x\"\n  assistant \"$[title: string]$[b: string]\"\n"
               "  return title\n}\n");
  const int fix = session.of(
      "textDocument/codeAction",
      R"(,"range":{"start":{"line":2,"character":14},"end":{"line":2,"character":14}},"context":{"diagnostics":[]})");
  session.end();
  const Json found = session.diagnostics();
  ASSERT_EQ(found.size(), 1U) << found.dump();
  EXPECT_EQ(found[0]["code"], "E0302");
  EXPECT_EQ(found[0]["severity"], 1);
  EXPECT_THAT(found[0]["message"].get<std::string>(), HasSubstr("help: put text between them"));
  EXPECT_THAT(found[0]["relatedInformation"][0]["message"].get<std::string>(),
              HasSubstr("nothing marks where `title` ends"));
  const Json actions = session.result(fix);
  ASSERT_EQ(actions.size(), 1U);
  EXPECT_EQ(actions[0]["edit"]["changes"]["file:///a.gen"].size(), 2U);
}

TEST(LanguageServer, ChangesAreMergedAndToldOnce) {
  Session session;
  session.open("file:///a.gen", kProgram);
  const auto change = [&](int version, int line, int from, int to, const std::string& text) {
    session.notify("textDocument/didChange",
                   Json{{"textDocument", {{"uri", "file:///a.gen"}, {"version", version}}},
                        {"contentChanges",
                         {{{"range",
                            {{"start", {{"line", line}, {"character", from}}},
                             {"end", {{"line", line}, {"character", to}}}}},
                           {"text", text}}}}}
                       .dump());
  };
  // Behind a character of two UTF-16 units.
  change(2, 2, 23, 24, "a");
  change(3, 2, 23, 24, "o");
  session.end();
  const Json found = session.diagnostics();
  ASSERT_EQ(found.size(), 1U) << found.dump();  // nor is `name`, which was meant, called unused
  EXPECT_THAT(found.dump(), HasSubstr("unknown name `namo`"));
  std::size_t told = 0;
  for (const Json& one : session.messages())
    told += one.value("method", "") == "textDocument/publishDiagnostics" ? 1 : 0;
  EXPECT_EQ(told, 1U);
}

TEST(LanguageServer, PositionsAreBytesWhereTheClientOffersUtf8) {
  Session session(R"({"general":{"positionEncodings":["utf-8","utf-16"]}})");
  session.open("file:///a.gen", kProgram);
  const int here = session.at("textDocument/hover", 2, 23);
  session.end();
  EXPECT_EQ(session.result(1)["capabilities"]["positionEncoding"], "utf-8");
  EXPECT_EQ(session.result(here)["range"]["start"]["character"], 22);
}

TEST(LanguageServer, HoverHasTheTypeAndTheBound) {
  Session session;
  session.open("file:///a.gen", kProgram);
  const int hole = session.at("textDocument/hover", 3, 16);
  const int use = session.at("textDocument/hover", 4, 10);
  const int gen = session.at("textDocument/hover", 1, 5);
  const int nothing = session.at("textDocument/hover", 5, 0);
  session.end();
  EXPECT_THAT(session.result(hole)["contents"]["value"].get<std::string>(),
              AllOf(HasSubstr("hole reply: line"), HasSubstr("at most 40 tokens")));
  EXPECT_THAT(session.result(use)["contents"]["value"].get<std::string>(),
              HasSubstr("hole reply: line"));
  EXPECT_THAT(session.result(gen)["contents"]["value"].get<std::string>(),
              AllOf(HasSubstr("gen greet(name: string) -> line"), HasSubstr("Says hello."),
                    HasSubstr("tokens generated: at most 41")));
  EXPECT_TRUE(session.result(nothing).is_null());
}

TEST(LanguageServer, NavigatesAndRenames) {
  Session session;
  session.open("file:///a.gen", kProgram);
  const int definition = session.at("textDocument/definition", 4, 10);
  const int references =
      session.at("textDocument/references", 3, 15, R"(,"context":{"includeDeclaration":true})");
  const int uses =
      session.at("textDocument/references", 3, 15, R"(,"context":{"includeDeclaration":false})");
  const int marks = session.at("textDocument/documentHighlight", 3, 15);
  const int asked = session.at("textDocument/prepareRename", 3, 15);
  const int rename = session.at("textDocument/rename", 3, 15, R"(,"newName":"answer")");
  const int taken = session.at("textDocument/rename", 3, 15, R"(,"newName":"name")");
  const int outline = session.of("textDocument/documentSymbol");
  session.end();
  EXPECT_EQ(session.result(definition)["range"]["start"]["line"], 3);
  EXPECT_EQ(session.result(references).size(), 2U);
  EXPECT_EQ(session.result(uses).size(), 1U);
  EXPECT_EQ(session.result(marks).size(), 2U);
  EXPECT_EQ(session.result(asked)["placeholder"], "reply");
  const Json edits = session.result(rename)["changes"]["file:///a.gen"];
  ASSERT_EQ(edits.size(), 2U);
  EXPECT_EQ(edits[0]["newText"], "answer");
  EXPECT_EQ(session.error(taken), -32803);
  EXPECT_EQ(session.result(outline)[0]["name"], "greet");
}

TEST(LanguageServer, SignaturesLightTheParameterThatIsBeingWritten) {
  Session session;
  const std::string text =
      "/// Sells.\n"
      "gen sell(what: line, /// the thing\n  count: int = 1) -> line { user \"${what}\" return "
      "what }\n"
      "tool look(topic: line, limit: int)\n"
      "gen main(x: line) -> line {\n"
      "  let a = sell(\"a, b\", len([1, 2]))\n"  // line 5
      "  let b = sell(count: 3, what: x)\n"
      "  user \"${join([x], \", \")} ${str(look(x, 1))}\"\n"
      "  return sell(x, \n}\n";  // being written
  session.open("file:///a.gen", text);
  const auto ask = [&](int line, int character) {
    return session.at("textDocument/signatureHelp", line, character);
  };
  const int first = ask(5, 18);
  const int in_text = ask(5, 19);
  const int inner = ask(5, 29);
  const int by_name = ask(6, 22);
  const int other_name = ask(6, 31);
  const int builtin = ask(7, 20);
  const int tool = ask(7, 41);
  const int unfinished = ask(8, 17);
  const int nowhere = ask(8, 4);
  const int declaration = ask(4, 12);
  session.end();
  const auto active = [&](int id) { return session.result(id)["activeParameter"]; };
  const auto label = [&](int id) {
    const Json result = session.result(id);
    return result.is_object() ? result["signatures"][0]["label"].get<std::string>() : result.dump();
  };
  EXPECT_EQ(active(first), 0);
  EXPECT_THAT(label(first), HasSubstr("gen sell(what: line"));
  EXPECT_EQ(session.result(first)["signatures"][0]["documentation"]["value"], "Sells.");
  const Json parameter = session.result(first)["signatures"][0]["parameters"][0];
  EXPECT_EQ(parameter["label"], Json::parse("[9, 19]"));
  EXPECT_EQ(active(in_text), 0);  // the comma in the text is none
  EXPECT_THAT(label(inner), HasSubstr("len("));
  EXPECT_EQ(active(by_name), 1);
  EXPECT_EQ(active(other_name), 0);
  EXPECT_THAT(label(builtin), HasSubstr("join("));
  EXPECT_THAT(label(tool), HasSubstr("tool look("));
  EXPECT_EQ(active(tool), 1);
  EXPECT_THAT(label(unfinished), HasSubstr("gen sell("));
  EXPECT_EQ(active(unfinished), 1);
  EXPECT_TRUE(session.result(nowhere).is_null());
  EXPECT_TRUE(session.result(declaration).is_null());
}

TEST(LanguageServer, NamesAreFoundAndChangedInFilesThatNobodyOpened) {
  const Folder folder;
  const std::string house = "gen rules() { \"Be good.\" }\n";
  folder.write("house.gen", house);
  const std::string other =
      folder.write("other.gen", "use \"house.gen\" { rules }\ngen b() { splice rules() }\n");
  folder.write("same.gen", "gen rules() { \"Mine.\" }\ngen c() { splice rules() }\n");
  folder.write("broken.gen", "use \"house.gen\" as h\ngen d() { splice h.rules( }\n");
  for (const bool told : {true, false}) {
    const std::string root = lsp::uri_of_path(folder.path());
    Session session("{}",
                    told ? R"(,"workspaceFolders":[{"uri":")" + root + R"(","name":"x"}])" : "");
    const std::string uri = lsp::uri_of_path(folder.path("house.gen"));
    session.open(uri, house);
    const auto at = [&](const std::string& method, const std::string& more) {
      return session.request(method, R"({"textDocument":{"uri":")" + uri +
                                         R"("},"position":{"line":0,"character":5})" + more + "}");
    };
    const int references =
        at("textDocument/references", R"(,"context":{"includeDeclaration":true})");
    const int rename = at("textDocument/rename", R"(,"newName":"manners")");
    session.end();
    std::map<std::string, int> places;
    for (const Json& one : session.result(references)) ++places[one["uri"]];
    EXPECT_EQ(places[uri], 1);
    EXPECT_EQ(places[lsp::uri_of_path(other)], 2);
    EXPECT_EQ(places.count(lsp::uri_of_path(folder.path("same.gen"))), 0U);
    const Json changes = session.result(rename)["changes"];
    EXPECT_EQ(changes[uri].size(), 1U);
    EXPECT_EQ(changes[lsp::uri_of_path(other)].size(), 2U);
    EXPECT_FALSE(changes.contains(lsp::uri_of_path(folder.path("same.gen"))));
  }
}

TEST(LanguageServer, FormatsWhatDiffers) {
  Session session;
  session.open("file:///a.gen", "gen f() {\n    user \"x\"\n}\n");
  const int format = session.of("textDocument/formatting");
  session.open("file:///a.gen", "gen f( {\n");
  const int broken = session.of("textDocument/formatting");
  session.end();
  const Json edits = session.result(format);
  ASSERT_EQ(edits.size(), 1U);
  EXPECT_EQ(edits[0]["newText"], "  user \"x\"\n");
  EXPECT_EQ(edits[0]["range"]["start"]["line"], 1);
  EXPECT_EQ(edits[0]["range"]["end"]["line"], 2);
  EXPECT_TRUE(session.result(broken).is_null());
}

TEST(LanguageServer, CompletesInAFileThatIsBeingWritten) {
  Session session;
  session.open("file:///a.gen", "record R { item: line }\ngen f(r: R) {\n  user \"${r.\"\n}\n");
  const int members = session.at("textDocument/completion", 2, 12);
  session.end();
  const Json items = session.result(members)["items"];
  ASSERT_EQ(items.size(), 1U);
  EXPECT_EQ(items[0]["label"], "item");
  EXPECT_EQ(items[0]["detail"], "line");
}

TEST(LanguageServer, SemanticTokensAreInOrderAndOfOneLine) {
  Session session;
  session.open("file:///a.gen", std::string(kProgram) + "// end\n");
  const int tokens = session.of("textDocument/semanticTokens/full");
  session.end();
  const Json data = session.result(tokens)["data"];
  ASSERT_EQ(data.size() % 5, 0U);
  ASSERT_GT(data.size(), 50U);
  // The comment, then `gen` a line below.
  EXPECT_THAT((std::vector<Json>(data.begin(), data.begin() + 5)), ElementsAre(0, 0, 15, 9, 0));
  EXPECT_THAT((std::vector<Json>(data.begin() + 5, data.begin() + 10)), ElementsAre(1, 0, 3, 8, 0));
  EXPECT_THAT((std::vector<Json>(data.begin() + 10, data.begin() + 15)),
              ElementsAre(0, 4, 5, 7, 1));
}

TEST(LanguageServer, WhatAUsedFileSaysIsToldThere) {
  const Folder folder;
  const std::string house = folder.write("house.gen", "gen rules() { \"${nobody}\" }\n");
  const std::string uri = lsp::uri_of_path(folder.path("main.gen"));
  Session session;
  session.open(uri, "use \"house.gen\" { rules }\ngen f() {\n  system { splice rules() }\n}\n");
  const int jump = session.request(
      "textDocument/definition",
      Json{{"textDocument", {{"uri", uri}}}, {"position", {{"line", 2}, {"character", 19}}}}
          .dump());
  // Mended in the editor, not yet on disk.
  session.open(lsp::uri_of_path(house), "gen rules() { \"Be kind.\" }\n");
  session.end();
  EXPECT_EQ(session.result(jump)["uri"], lsp::uri_of_path(house));
  bool told = false;
  for (const Json& one : session.messages())
    told = told || (one.value("method", "") == "textDocument/publishDiagnostics" &&
                    one["params"]["uri"] == lsp::uri_of_path(house));
  EXPECT_TRUE(told);
  EXPECT_THAT(session.diagnostics(lsp::uri_of_path(house)), IsEmpty());
  EXPECT_THAT(session.diagnostics(uri), IsEmpty());
}

TEST(LanguageServer, EachFaultHasItsError) {
  EXPECT_THAT(
      run_line({"lsp"}, frame(R"({"jsonrpc":"2.0","id":7,"method":"textDocument/hover"})")).out,
      HasSubstr(R"("id":7,"error":{"code":-32002)"));
  Session session;
  session.open("file:///a.gen", kProgram);
  const int unknown = session.request("textDocument/levitate", "{}");
  const int twice = session.request("initialize", "{}");
  const int no_place = session.of("textDocument/hover");
  const int closed = session.request(
      "textDocument/hover",
      R"({"textDocument":{"uri":"file:///b.gen"},"position":{"line":0,"character":0}})");
  const int negative = session.at("textDocument/hover", -1, 0);
  const int far = session.at("textDocument/hover", 100000, 100000);
  session.notify("$/whatever", "{}");
  session.raw("[]");
  session.raw(R"({"jsonrpc":"2.0","id":[1],"method":"shutdown"})");
  session.raw("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}");
  session.raw("{");
  session.raw(std::string(100000, '['));
  session.bytes("Content-Length: many\r\n\r\n");
  session.bytes("Content-Length: 99999999999999999999\r\n\r\n");
  session.bytes("Content-Length: 9999999999999999999\r\n\r\n");
  const int between = session.at("textDocument/hover", 3, 16);
  session.bytes("garbage\r\n\r\n");
  session.bytes(std::string(10000, 'x') + "\r\n");
  session.bytes("content-type: x\r\n\r\n");
  const int alive = session.at("textDocument/hover", 3, 16);
  session.end();
  EXPECT_EQ(session.error(unknown), -32601);
  EXPECT_EQ(session.error(twice), -32600);
  EXPECT_EQ(session.error(no_place), -32602);
  EXPECT_EQ(session.error(closed), -32602);
  EXPECT_EQ(session.error(negative), -32602);
  EXPECT_TRUE(session.result(far).is_null());
  EXPECT_THAT(session.complaints(),
              ElementsAre(-32600, -32600, -32700, -32700, -32700, -32700, -32700, -32700, -32700));
  EXPECT_TRUE(session.result(between).is_object());
  EXPECT_TRUE(session.result(alive).is_object());
  EXPECT_EQ(session.ran().code, kDone);
}

TEST(LanguageServer, AfterShutdownOnlyExitCounts) {
  Session session;
  session.request("shutdown", "null");
  const int late = session.at("textDocument/hover", 0, 0);
  session.end();
  EXPECT_EQ(session.error(late), -32600);
}

TEST(LanguageServer, TakesHugeDocumentsAndWrongBytes) {
  Session session;
  std::string huge;
  while (huge.size() < (10u << 20)) huge += "// a comment of some length, and another\n";
  session.open("file:///a.gen", huge + "gen f() { user \"x\" }\n");
  const int hover = session.at("textDocument/hover", 1, 1);
  session.open("file:///b.gen", "gen f() { user \"" + std::string(3u << 20, 'x') + "\" }");
  session.open("untitled:Untitled-1", "gen f( {");
  session.open("file:///nul.gen", std::string("gen f() {\0}", 11));
  session.end();
  EXPECT_THAT(session.diagnostics().dump(), HasSubstr("E0114"));
  EXPECT_TRUE(session.result(hover).is_null());
  EXPECT_THAT(session.diagnostics("file:///b.gen"), IsEmpty());
  EXPECT_THAT(session.diagnostics("untitled:Untitled-1").dump(), HasSubstr("E0100"));
  EXPECT_THAT(session.diagnostics("file:///nul.gen").dump(), HasSubstr("E0114"));
  EXPECT_EQ(session.ran().code, kDone);
}

TEST(LanguageServer, AChangeThatFitsNothingIsSaidAndLeavesTheDocument) {
  Session session;
  session.open("file:///a.gen", kProgram);
  session.notify(
      "textDocument/didChange",
      R"({"textDocument":{"uri":"file:///a.gen","version":2},"contentChanges":[{"range":7,"text":"x"}]})");
  session.notify("textDocument/didChange",
                 R"({"textDocument":{"uri":"file:///no.gen","version":2},"contentChanges":[]})");
  session.end();
  std::size_t said = 0;
  for (const Json& one : session.messages())
    said += one.value("method", "") == "window/showMessage" ? 1 : 0;
  EXPECT_EQ(said, 2U);
  EXPECT_THAT(session.diagnostics(), IsEmpty());
}

TEST(TextPositions, GoBothWaysInBothEncodings) {
  const dsl::Source source("a", "ab\r\ncé𝄞d\n\nx");
  for (const lsp::Encoding encoding : {lsp::Encoding::kUtf16, lsp::Encoding::kUtf8}) {
    lsp::TextPositions positions(source, encoding);
    for (const std::uint32_t offset : {0U, 1U, 2U, 4U, 5U, 7U, 11U, 12U, 13U, 14U, 15U}) {
      const lsp::TextPosition at = positions.at(offset);
      EXPECT_EQ(positions.offset(at), offset) << offset;
      EXPECT_EQ(lsp::TextPositions(source, encoding).at(offset).character, at.character);
    }
  }
  lsp::TextPositions positions(source, lsp::Encoding::kUtf16);
  EXPECT_EQ(positions.at(12).character, 5U);  // c é 𝄞𝄞 d
  EXPECT_EQ(positions.offset({1, 3}), 7U);    // inside the pair
  EXPECT_EQ(positions.offset({0, 99}), 2U);   // before its line break
  EXPECT_EQ(positions.offset({99, 0}), 15U);
}

TEST(FileUris, GoBothWays) {
  for (const char* path : {"/a/b.gen", "/a b/ü#?%.gen", "/x"})
    EXPECT_EQ(lsp::path_of_uri(lsp::uri_of_path(path)), path);
  EXPECT_EQ(lsp::path_of_uri("file:///a/../b/%41.gen"), "/b/A.gen");
  EXPECT_EQ(lsp::path_of_uri("untitled:Untitled-1"), "untitled:Untitled-1");
  EXPECT_EQ(lsp::path_of_uri("file:///a%00b"), "file:///a%00b");
}

}  // namespace
}  // namespace espalier::cli
