// `http` tools against a server of this process.
#include "dsl/http_tool.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include "dsl/http_client.h"
#include "dsl/tool_permissions.h"
#include "tests/dsl_run/local_server.h"

namespace espalier::dsl {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using testing::LocalServer;
using ::testing::Not;
using Request = LocalServer::Request;

ToolInfo tool(const std::string& target) {
  ToolInfo info;
  info.name = info.real_name = "web";
  info.transport = Transport::kHttp;
  info.target = target;
  return info;
}

Result<Json> call(const std::string& target, Json arguments = Json::object(),
                  milliseconds timeout = milliseconds(20'000), std::size_t limit = 1u << 20,
                  const std::atomic<bool>* cancelled = nullptr) {
  const ToolInfo info = tool(target);
  return call_http({&info, std::move(arguments), timeout, cancelled}, limit);
}

std::string failure(const Result<Json>& result) {
  return result ? "it went well" : result.error().message;
}

TEST(HttpTool, ArgumentsGoIntoPathQueryAndBody) {
  LocalServer server([](const Request& request, int socket) {
    LocalServer::answer(socket, "200 OK", "application/json; charset=utf-8",
                        R"({"got": )" + std::to_string(request.body.size()) + "}");
  });
  const Json arguments{
      {"city", "Sankt Gallen/ä"}, {"days", 3}, {"tags", {"a&b", "c"}}, {"none", nullptr}};
  const auto get = call("GET " + server.url() + "/weather/{city}?v=1", arguments);
  ASSERT_TRUE(get) << get.error().message;
  EXPECT_EQ((*get)["got"], 0);
  const auto post = call("POST " + server.url() + "/weather/{city}?unit={days}", arguments);
  ASSERT_TRUE(post) << post.error().message;
  const auto seen = server.requests();
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].line(),
            "GET /weather/Sankt%20Gallen%2F%C3%A4?v=1&days=3&tags=a%26b&tags=c HTTP/1.1");
  EXPECT_EQ(seen[1].line(), "POST /weather/Sankt%20Gallen%2F%C3%A4?unit=3 HTTP/1.1");
  EXPECT_EQ(Json::parse(seen[1].body), Json::parse(R"({"tags": ["a&b", "c"], "none": null})"));
  EXPECT_TRUE(seen[1].has("Content-Type: application/json\r\n"));
}

TEST(HttpTool, AnArgumentStaysTheSegmentThatItStandsIn) {
  LocalServer server([](const Request&, int socket) {
    LocalServer::answer(socket, "200 OK", "application/json", "1");
  });
  for (const char* name : {"", ".", ".."}) {
    EXPECT_THAT(failure(call("GET " + server.url() + "/users/{id}/x", {{"id", name}})),
                HasSubstr("cannot stand in the URL's path"));
  }
  ASSERT_TRUE(call("GET " + server.url() + "/users/{id}/x", {{"id", "../admin?x=1#y\r\nA: b"}}));
  EXPECT_EQ(server.requests().at(0).line(),
            "GET /users/..%2Fadmin%3Fx%3D1%23y%0D%0AA%3A%20b/x HTTP/1.1");
}

TEST(HttpTool, TheAnswerIsJsonTextOrNothingByItsContentType) {
  std::string type = "text/plain";
  std::string body = "hello";
  LocalServer server(
      [&](const Request&, int socket) { LocalServer::answer(socket, "200 OK", type, body); });
  const std::string target = "GET " + server.url() + "/";
  EXPECT_EQ(*call(target), Json("hello"));
  type = "application/problem+json";
  body = R"({"a": [1]})";
  EXPECT_EQ(*call(target), Json::parse(body));
  body = "";
  EXPECT_EQ(*call(target), Json());
  body = "{not json";
  EXPECT_THAT(failure(call(target)), HasSubstr("not JSON"));
  body = std::string(300, '[');
  EXPECT_THAT(failure(call(target)), HasSubstr("levels deep"));
  type = "text/html";
  body = "\xff\xfe";
  EXPECT_THAT(failure(call(target)), HasSubstr("neither JSON nor well-formed UTF-8"));
}

TEST(HttpTool, AFailureSaysItsStatusAndTheBeginningOfWhatWasSaid) {
  LocalServer server([](const Request&, int socket) {
    LocalServer::answer(socket, "404 Not Found", "text/plain",
                        "no such\r\n\tcity " + std::string(5000, 'x') + "\xc3");
  });
  const std::string message = failure(call("GET " + server.url() + "/"));
  EXPECT_THAT(message, HasSubstr("HTTP 404: no such city xxx"));
  EXPECT_LT(message.size(), 400U);
}

TEST(HttpTool, RedirectsAreNotFollowedAndNoSecretOfOneIsShown) {
  LocalServer server([](const Request&, int socket) {
    LocalServer::answer(socket, "302 Found", "text/plain", "",
                        "Location: http://user:hunter2@elsewhere.example/x?token=s3cret\r\n");
  });
  const std::string message = failure(call("GET " + server.url() + "/"));
  EXPECT_THAT(message, HasSubstr("HTTP 302: it redirects to http://elsewhere.example/x"));
  EXPECT_THAT(message, Not(HasSubstr("hunter2")));
  EXPECT_THAT(message, Not(HasSubstr("s3cret")));
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST(HttpTool, EndlessStalledAndBrokenAnswersEndAtTheirLimits) {
  std::string how;
  LocalServer* self = nullptr;
  LocalServer server([&](const Request&, int socket) {
    if (how == "flood") {
      LocalServer::send(socket, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n");
      while (!self->stopping() && LocalServer::send(socket, std::string(65536, 'x'))) {
      }
    } else if (how == "headers") {
      LocalServer::send(socket, "HTTP/1.1 200 OK\r\n");
      while (!self->stopping() &&
             LocalServer::send(socket, "X-A: " + std::string(1000, 'b') + "\r\n")) {
      }
    } else if (how == "stall") {
      LocalServer::send(socket, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
      while (!self->stopping()) std::this_thread::sleep_for(milliseconds(5));
    } else if (how == "short") {
      LocalServer::send(socket, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    } else if (how == "garbage") {
      LocalServer::send(socket, std::string("\x16\x03\x01 what is this\r\n\r\n"));
    } else if (how == "gzip") {
      LocalServer::answer(socket, "200 OK", "text/plain", std::string("\x1f\x8b\x08\x00zzzz", 8),
                          "Content-Encoding: gzip\r\n");
    }
  });
  self = &server;
  const std::string target = "GET " + server.url() + "/";
  const auto message = [&](const char* what, milliseconds timeout = milliseconds(20'000)) {
    how = what;
    return failure(call(target, Json::object(), timeout, 100'000));
  };
  EXPECT_THAT(message("flood"), HasSubstr("longer than 100000 bytes"));
  EXPECT_THAT(message("headers"), HasSubstr("headers"));
  EXPECT_THAT(message("stall", milliseconds(200)), HasSubstr("no answer within 200 ms"));
  EXPECT_THAT(message("short"), HasSubstr("broke"));
  EXPECT_THAT(message("garbage"), HasSubstr(server.url()));
  EXPECT_THAT(message("gzip"), HasSubstr("UTF-8"));  // never unpacked
  how = "stall";
  std::atomic<bool> cancelled = false;
  std::thread stopper([&] {
    std::this_thread::sleep_for(milliseconds(50));
    cancelled = true;
  });
  const auto stopped = call(target, Json::object(), milliseconds(60'000), 1000, &cancelled);
  stopper.join();
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::kCancelled);
}

TEST(HttpTool, NoProxyOfTheEnvironmentIsUsed) {
  LocalServer server([](const Request&, int socket) {
    LocalServer::answer(socket, "200 OK", "application/json", "1");
  });
  for (const char* name : {"http_proxy", "ALL_PROXY"}) ::setenv(name, "http://127.0.0.1:1", 1);
  const auto answer = call("GET " + server.url() + "/");
  for (const char* name : {"http_proxy", "ALL_PROXY"}) ::unsetenv(name);
  EXPECT_TRUE(answer) << answer.error().message;
}

TEST(HttpTool, AConnectionThatIsRefusedNamesWhereToWithoutQuery) {
  std::string gone;
  {
    LocalServer server([](const Request&, int) {});
    gone = server.url();
  }
  const std::string message = failure(call("GET " + gone + "/x?key=s3cret", {{"q", "private"}}));
  EXPECT_THAT(message, HasSubstr(gone + "/x: no connection"));
  EXPECT_THAT(message, Not(HasSubstr("s3cret")));
  EXPECT_THAT(message, Not(HasSubstr("private")));
}

TEST(HttpTool, TargetsThatAreNotWellFormedAreRefused) {
  for (const char* bad : {"",
                          "GET",
                          "GET ",
                          "get http://x/",
                          "TRACE http://x/",
                          "GET ftp://x/",
                          "GET file:///etc/passwd",
                          "GET //x/",
                          "GET x",
                          "GET http://",
                          "GET http:///path",
                          "GET http:///{host}",
                          "GET http://?{host}",
                          "GET http://{host}/",
                          "GET http://x{p}/",
                          "GET http://u:p@x/",
                          "GET http://u@x/",
                          "GET http://x/{",
                          "GET http://x/}",
                          "GET http://x/{}",
                          "GET http://x/a b",
                          "GET http://x/#f",
                          "GET http://x:99999/",
                          "GET gopher://x/"}) {
    EXPECT_FALSE(parse_http_target(bad)) << bad;
  }
  const auto good = parse_http_target("PATCH https://API.Example.com/v1/{id}?x={y}");
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ(good->host, "api.example.com");
  EXPECT_EQ(good->port, "443");
  EXPECT_EQ(good->placeholders, (std::vector<std::string>{"id", "y"}));
  const auto six = parse_http_target("GET http://[::1]:8080/");
  ASSERT_TRUE(six) << six.error().message;
  EXPECT_EQ(six->host, "::1");
}

TEST(Permissions, EverythingThatLeavesTheProgramIsClosedUntilItIsOpened) {
  ToolInfo http = tool("GET https://api.example.com/x");
  ToolInfo exec = tool("bin/calc");
  exec.transport = Transport::kExec;
  ToolInfo mcp = tool("time/get_current_time");
  mcp.transport = Transport::kMcp;
  ToolInfo python = tool("m:f");
  python.transport = Transport::kPython;
  for (const ToolInfo* one : {&http, &exec, &mcp}) {
    EXPECT_FALSE(allowed({}, *one));
    EXPECT_FALSE(allowed({"other", "http:example.com", "exec:calc", "mcp:tim", ""}, *one));
    const auto refused = check_allowed({}, *one);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kTool);
    for (const std::string& entry : permissions_for(*one)) {
      EXPECT_TRUE(allowed({entry}, *one)) << entry;
      EXPECT_THAT(refused.error().message, HasSubstr("--allow " + entry));
    }
  }
  EXPECT_TRUE(allowed({}, python));
  EXPECT_TRUE(allowed({"http:api.example.com:443"}, http));
  EXPECT_FALSE(allowed({"http:api.example.com:80"}, http));
  EXPECT_FALSE(allowed({"exec", "mcp"}, http));
}

// What `allow` signs calls with, as "HEADER: VARIABLE", or "none".
std::string signed_by(const std::vector<std::string>& allow) {
  const ToolInfo http = tool("GET https://api.example.com/x");
  const auto found = credential_for(allow, http);
  if (!found) return "error: " + found.error().message;
  if (!*found) return "none";
  return (*found)->header + ": " + ((*found)->bearer ? "Bearer " : "") + (*found)->variable;
}

TEST(Credentials, AHostsEntryNamesWhatItsCallsAreSignedWith) {
  EXPECT_EQ(signed_by({"http:api.example.com"}), "none");
  EXPECT_EQ(signed_by({"http:api.example.com=TOKEN"}), "Authorization: Bearer TOKEN");
  EXPECT_EQ(signed_by({"http:api.example.com=X-Api-Key:KEY"}), "X-Api-Key: KEY");
  // The narrowest counts, wherever it stands.
  EXPECT_EQ(signed_by({"http:api.example.com=A", "http:api.example.com:443=B"}),
            "Authorization: Bearer B");
  // No entry signs for another host, for another port, or for every host there is.
  for (const char* other : {"http:example.com=A", "http:api.example.com:80=A", "http=A", "web=A"})
    EXPECT_EQ(signed_by({other}), "none") << other;
  for (const char* wrong : {"", "A B", "X-Key:", ":A", "X Key:A", "A:B:C", "$A"}) {
    EXPECT_THAT(signed_by({std::string("http:api.example.com=") + wrong}),
                HasSubstr("behind = stands"))
        << wrong;
  }
  const ToolInfo http = tool("GET https://api.example.com/x");
  EXPECT_TRUE(allowed({"http:api.example.com=TOKEN"}, http));
  EXPECT_FALSE(allowed({"http:example.com=TOKEN", "http=TOKEN"}, http));
}

TEST(Credentials, OnlyWhatAHeaderCanHoldBecomesOne) {
  const Credential bearer{"Authorization", "TOKEN", true};
  EXPECT_EQ(header_of(bearer, "abc")->second, "Bearer abc");
  EXPECT_EQ(header_of({"X-Key", "TOKEN", false}, "abc")->second, "abc");
  for (const auto& wrong : std::vector<std::optional<std::string>>{
           std::nullopt, "", "geheim\r\nX: y", "geheim\n", std::string("ge\0heim", 7)}) {
    const auto header = header_of(bearer, wrong);
    ASSERT_FALSE(header.has_value());
    EXPECT_THAT(header.error().message, HasSubstr("TOKEN"));
    EXPECT_THAT(header.error().message, Not(HasSubstr("geheim")));
  }
}

// The value goes out in its header, and comes back in nothing: no result, no failure.
TEST(Credentials, TheValueIsSentAndNeverComesBack) {
  const std::string secret = "s3cr3t/token";
  int status = 200;
  LocalServer server([&](const Request& request, int socket) {
    LocalServer::answer(socket, status == 200 ? "200 OK" : "401 Unauthorized", "application/json",
                        Json{{"you", request.head}, {"twice", secret + secret}}.dump());
  });
  const ToolInfo info = tool("GET " + server.url() + "/x");
  const auto header = header_of({"Authorization", "TOKEN", true}, secret);
  ASSERT_TRUE(header.has_value());
  const ToolRequest request{&info, Json::object(), milliseconds(20'000), nullptr};
  const auto good = call_http(request, 1u << 20, *header);
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_TRUE(server.requests().at(0).has("Authorization: Bearer " + secret + "\r\n"));
  EXPECT_THAT(good->dump(), Not(HasSubstr(secret)));
  EXPECT_EQ((*good)["twice"], "******");
  EXPECT_THAT((*good)["you"].get<std::string>(), HasSubstr("Authorization: Bearer ***\r\n"));
  status = 401;
  const std::string refused = failure(call_http(request, 1u << 20, *header));
  EXPECT_THAT(refused, HasSubstr("401"));
  EXPECT_THAT(refused, Not(HasSubstr(secret)));
}

TEST(Credentials, NothingIsSignedOverPlainHttpToAnotherMachine) {
  const ToolInfo info = tool("GET http://example.invalid/x");
  const ToolRequest request{&info, Json::object(), milliseconds(20'000), nullptr};
  EXPECT_THAT(failure(call_http(request, 1u << 20, std::pair<std::string, std::string>{"A", "b"})),
              HasSubstr("not sent over plain http"));
}

TEST(Credentials, ToolsTakeThemFromTheEnvironment) {
  LocalServer server([](const Request&, int socket) {
    LocalServer::answer(socket, "200 OK", "application/json", "1");
  });
  const ToolInfo info = tool("GET " + server.url() + "/x");
  ProcessToolOptions options;
  options.allow = {"http:127.0.0.1=ESPALIER_TEST_TOKEN"};
  ProcessTools tools(options);
  const ToolRequest request{&info, Json::object(), milliseconds(20'000), nullptr};
  ::unsetenv("ESPALIER_TEST_TOKEN");
  EXPECT_THAT(failure(tools.call(request)), HasSubstr("ESPALIER_TEST_TOKEN"));
  EXPECT_TRUE(server.requests().empty());
  ::setenv("ESPALIER_TEST_TOKEN", "abc", 1);
  EXPECT_EQ(failure(tools.call(request)), "it went well");
  EXPECT_TRUE(server.requests().at(0).has("Authorization: Bearer abc\r\n"));
  ::unsetenv("ESPALIER_TEST_TOKEN");
}

}  // namespace
}  // namespace espalier::dsl
