// The language server: one client over a pair of streams, LSP 3.17.
//
// Messages are answered in the order in which they come. What changes mean is told before the next
// request, or when no more bytes are at hand: a burst of keystrokes is analyzed once. Whatever a
// client sends, each request gets one answer: its result, or the error that JSON-RPC has for what
// was wrong with it.
#pragma once

#include <functional>
#include <iosfwd>
#include <map>
#include <string>

#include "base/result.h"
#include "base/system.h"
#include "cli/lsp/features.h"
#include "cli/lsp/framing.h"
#include "cli/lsp/workspace.h"

namespace espalier::cli::lsp {

class Server {
 public:
  Server(std::istream& in, std::ostream& out, System& system);

  /// Serves until `exit` or the end of the input: 0 if `shutdown` came before it, else 1.
  [[nodiscard]] int run();

 private:
  /// What a request gave: its result, or the error to answer with.
  struct Answer {
    Json result;
    int code = 0;  // not 0: `message` is the error
    std::string message;
  };
  static Answer error(int code, std::string message) { return {nullptr, code, std::move(message)}; }

  void handle(const std::string& text);
  void handle(const In& message);
  Answer request(const std::string& method, const In& params);
  void notification(const std::string& method, const In& params);
  Answer initialize(const In& params);
  /// The open document that the parameters name, and the place in it, or the error.
  Answer at_place(const In& params, const std::function<Answer(const Place&)>& use);
  Answer of_document(const In& params, const std::function<Answer(const Document&)>& use);
  void publish();
  void complain(const Status& status);
  void send(const Json& message);
  void notify(const std::string& method, Json params);

  MessageReader reader_;
  std::ostream& out_;
  Workspace workspace_;
  using Handler = std::function<Answer(const In&)>;
  std::map<std::string, Handler, std::less<>> requests_;
  bool initialized_ = false;
  bool shutdown_ = false;
  bool exit_ = false;
  bool broken_ = false;  // the client reads no more
};

}  // namespace espalier::cli::lsp
