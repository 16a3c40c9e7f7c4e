// The language server on arbitrary bytes behind its first message: it ends, and what it answers is
// framed JSON.
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>

#include "base/result.h"
#include "cli/lsp/server.h"
#include "tests/support/memory_system.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace espalier;
  using namespace espalier::cli;
  static const std::string kFirst = [] {
    const std::string body =
        R"({"jsonrpc":"2.0","id":0,"method":"initialize","params":{"capabilities":{}}})";
    const std::string opened =
        R"({"jsonrpc":"2.0","method":"textDocument/didOpen","params":{"textDocument":{"uri":"file:///a.gen","version":1,"text":"gen f(a: line) {\n  user \"${a}\"\n}\n"}}})";
    return "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body +
           "Content-Length: " + std::to_string(opened.size()) + "\r\n\r\n" + opened;
  }();
  // A first byte of 0 makes the rest one message's body, so that a fuzzer need not find its length.
  std::string rest(reinterpret_cast<const char*>(data), size);
  if (!rest.empty() && rest[0] == 0) {
    rest.erase(0, 1);
    rest = "Content-Length: " + std::to_string(rest.size()) + "\r\n\r\n" + rest;
  }
  std::istringstream in(kFirst + rest);
  std::ostringstream out;
  testing::MemorySystem system;
  static_cast<void>(lsp::Server(in, out, system).run());
  std::istringstream written(out.str());
  lsp::MessageReader reader(written);
  while (const auto message = reader.next()) {
    ESP_CHECK(!message->broken);
    ESP_CHECK(nlohmann::json::accept(message->text));
  }
  return 0;
}
