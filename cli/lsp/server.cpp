#include "cli/lsp/server.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "grammar/json_text.h"

namespace espalier::cli::lsp {
namespace {

Json capabilities(Encoding encoding) {
  return {
      {"positionEncoding", encoding == Encoding::kUtf8 ? "utf-8" : "utf-16"},
      {"textDocumentSync",
       {{"openClose", true}, {"change", 2}, {"save", {{"includeText", false}}}}},  // incremental
      {"hoverProvider", true},
      {"completionProvider", {{"triggerCharacters", {".", ":"}}}},
      {"signatureHelpProvider", {{"triggerCharacters", {"(", ","}}}},
      {"definitionProvider", true},
      {"referencesProvider", true},
      {"documentHighlightProvider", true},
      {"documentSymbolProvider", true},
      {"renameProvider", {{"prepareProvider", true}}},
      {"documentFormattingProvider", true},
      {"codeActionProvider", {{"codeActionKinds", {"quickfix"}}}},
      {"semanticTokensProvider", {{"legend", semantic_legend()}, {"full", true}}},
  };
}

}  // namespace

Server::Server(std::istream& in, std::ostream& out, System& system)
    : reader_(in), out_(out), workspace_(system) {
  const auto place = [this](Json (*feature)(const Place&, const Workspace&)) {
    return [this, feature](const In& params) {
      return at_place(params, [&](const Place& where) {
        return Answer{feature(where, workspace_), 0, {}};
      });
    };
  };
  const auto document = [this](Json (*feature)(const Document&, const Workspace&)) {
    return [this, feature](const In& params) {
      return of_document(params, [&](const Document& one) {
        return Answer{feature(one, workspace_), 0, {}};
      });
    };
  };
  requests_["textDocument/hover"] = place(hover);
  requests_["textDocument/completion"] = place(completion);
  requests_["textDocument/signatureHelp"] = place(signature_help);
  requests_["textDocument/definition"] = place(definition);
  requests_["textDocument/documentHighlight"] = place(highlights);
  requests_["textDocument/prepareRename"] = place(prepare_rename);
  requests_["textDocument/documentSymbol"] = document(document_symbols);
  requests_["textDocument/formatting"] = document(formatting);
  requests_["textDocument/semanticTokens/full"] = document(semantic_tokens);
  requests_["textDocument/references"] = [this](const In& params) {
    const In* wanted = member(params, "context", "includeDeclaration");
    const bool declarations = wanted != nullptr && wanted->is_boolean() && wanted->get<bool>();
    return at_place(params, [&](const Place& where) {
      return Answer{references(where, declarations, workspace_), 0, {}};
    });
  };
  requests_["textDocument/rename"] = [this](const In& params) {
    const auto name = text_in(params, "newName");
    if (!name) return error(kInvalidParams, "newName is missing");
    return at_place(params, [&](const Place& where) {
      auto changes = rename_everywhere(where, *name, workspace_);
      if (!changes) return error(kRequestFailed, changes.error().message);
      return Answer{std::move(*changes), 0, {}};
    });
  };
  requests_["textDocument/codeAction"] = [this](const In& params) {
    const In* range = member(params, "range");
    const auto start = range == nullptr ? std::nullopt : position_in(member(*range, "start"));
    const auto end = range == nullptr ? std::nullopt : position_in(member(*range, "end"));
    if (!start || !end) return error(kInvalidParams, "range is missing, or none");
    return of_document(params, [&](const Document& one) {
      const TextPositions positions(one.analysis->program->sources[0], workspace_.encoding());
      return Answer{
          code_actions(one, positions.offset(*start), positions.offset(*end), workspace_), 0, {}};
    });
  };
}

int Server::run() {
  while (!exit_ && !broken_) {
    const auto framed = reader_.next();
    if (!framed) break;
    if (framed->broken) {
      send({{"jsonrpc", "2.0"},
            {"id", nullptr},
            {"error", {{"code", kParseError}, {"message", framed->text}}}});
    } else {
      handle(framed->text);
    }
    if (!reader_.more()) publish();
  }
  return shutdown_ && !broken_ ? 0 : 1;
}

void Server::handle(const std::string& text) {
  auto message = read_json_by_key(text);
  if (!message) {
    send({{"jsonrpc", "2.0"},
          {"id", nullptr},
          {"error", {{"code", kParseError}, {"message", message.error().message}}}});
    return;
  }
  handle(*message);
}

void Server::handle(const In& message) {
  const In* id = member(message, "id");
  const bool good_id = id != nullptr && (id->is_string() || id->is_number_integer());
  const auto method = text_in(message, "method");
  Json answer{{"jsonrpc", "2.0"}, {"id", good_id ? Json(*id) : Json(nullptr)}};
  const auto refuse = [&](int code, const std::string& why) {
    answer["error"] = {{"code", code}, {"message", why}};
    send(answer);
  };
  if (!message.is_object()) return refuse(kInvalidRequest, "a message is an object");
  if (!method) {
    // An answer to something; this server asks nothing.
    if (id != nullptr && (message.contains("result") || message.contains("error"))) return;
    return refuse(kInvalidRequest, "a message without a method");
  }
  if (id != nullptr && !good_id) return refuse(kInvalidRequest, "an id is a number or a string");
  static const In kNone = In::object();
  const In* params = member(message, "params");
  if (params == nullptr || params->is_null()) params = &kNone;
  if (!good_id) return notification(*method, *params);
  publish();  // what the changes before it mean
  Answer given;
  try {
    given = request(*method, *params);
  } catch (const std::exception& e) {  // out of memory, say: this request fails, not the server
    given = error(kInternalError, e.what());
  }
  if (given.code != 0) return refuse(given.code, given.message);
  answer["result"] = std::move(given.result);
  send(answer);
}

Server::Answer Server::request(const std::string& method, const In& params) {
  if (method == "initialize") {
    if (initialized_) return error(kInvalidRequest, "the server is initialized already");
    return initialize(params);
  }
  if (!initialized_) return error(kServerNotInitialized, "`initialize` comes first");
  if (shutdown_) return error(kInvalidRequest, "the server was shut down: only `exit` may follow");
  if (method == "shutdown") {
    shutdown_ = true;
    return {};
  }
  const auto known = requests_.find(method);
  if (known == requests_.end()) return error(kMethodNotFound, "unknown method '" + method + "'");
  return known->second(params);
}

Server::Answer Server::initialize(const In& params) {
  const In* encodings = member(params, "capabilities", "general", "positionEncodings");
  if (encodings != nullptr && encodings->is_array() &&
      std::find(encodings->begin(), encodings->end(), "utf-8") != encodings->end())
    workspace_.set_encoding(Encoding::kUtf8);
  if (const In* folders = member(params, "workspaceFolders");
      folders != nullptr && folders->is_array()) {
    for (const In& one : *folders)
      if (const auto uri = text_in(one, "uri")) workspace_.add_folder(*uri);
  } else if (const auto root = text_in(params, "rootUri")) {
    workspace_.add_folder(*root);
  }
  initialized_ = true;
  return {{{"capabilities", capabilities(workspace_.encoding())},
           {"serverInfo", {{"name", "espalier"}}}},
          0,
          {}};
}

void Server::notification(const std::string& method, const In& params) {
  if (method == "exit") {
    exit_ = true;
    return;
  }
  if (!initialized_ || shutdown_) return;
  const auto uri = text_in(params, "textDocument", "uri");
  const auto version = [&]() -> std::optional<std::int64_t> {
    const In* number = member(params, "textDocument", "version");
    if (number == nullptr || !number->is_number_integer()) return std::nullopt;
    return number->get<std::int64_t>();
  };
  if (method == "textDocument/didOpen") {
    auto text = text_in(params, "textDocument", "text");
    if (!uri || !text)
      return complain(fail(ErrorCode::kInvalid, "didOpen without a uri or a text"));
    complain(workspace_.open(*uri, version(), std::move(*text)));
  } else if (method == "textDocument/didChange") {
    const In* changes = member(params, "contentChanges");
    if (!uri || changes == nullptr)
      return complain(fail(ErrorCode::kInvalid, "didChange without a uri or changes"));
    complain(workspace_.change(*uri, version(), *changes));
  } else if (method == "textDocument/didClose") {
    if (uri) workspace_.close(*uri);
  } else if (method == "textDocument/didSave" || method == "workspace/didChangeWatchedFiles") {
    workspace_.forget_files();
  }
  // All others are for servers that do more; $/cancelRequest comes when the answer is out.
}

Server::Answer Server::of_document(const In& params,
                                   const std::function<Answer(const Document&)>& use) {
  const auto uri = text_in(params, "textDocument", "uri");
  if (!uri) return error(kInvalidParams, "textDocument.uri is missing");
  const Document* document = workspace_.document(*uri);
  if (document == nullptr) return error(kInvalidParams, "'" + *uri + "' is not open");
  return use(*document);
}

Server::Answer Server::at_place(const In& params, const std::function<Answer(const Place&)>& use) {
  const auto position = position_in(member(params, "position"));
  if (!position) return error(kInvalidParams, "position is missing, or none");
  return of_document(params, [&](const Document& document) {
    const TextPositions positions(document.analysis->program->sources[0], workspace_.encoding());
    return use({document, *document.analysis, positions.offset(*position)});
  });
}

void Server::publish() {
  if (!initialized_ || shutdown_ || exit_) return;
  for (Publication& one : workspace_.publications()) {
    Json params{{"uri", std::move(one.uri)}};
    if (one.version) params["version"] = *one.version;
    params["diagnostics"] = std::move(one.diagnostics);
    notify("textDocument/publishDiagnostics", std::move(params));
  }
}

void Server::complain(const Status& status) {
  if (!status) notify("window/showMessage", {{"type", 1}, {"message", status.error().message}});
}

void Server::notify(const std::string& method, Json params) {
  send({{"jsonrpc", "2.0"}, {"method", method}, {"params", std::move(params)}});
}

void Server::send(const Json& message) {
  if (!write_message(out_, write_json(message))) broken_ = true;
}

}  // namespace espalier::cli::lsp
