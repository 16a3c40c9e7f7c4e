// A web server of this process on a port of its own: each connection is read up to the end of its
// request and answered by a function, byte for byte.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace espalier::dsl::testing {

class LocalServer {
 public:
  struct Request {
    std::string head;  // the request line and headers
    std::string body;
    [[nodiscard]] std::string line() const { return head.substr(0, head.find("\r\n")); }
    [[nodiscard]] bool has(const std::string& text) const {
      return head.find(text) != std::string::npos;
    }
  };
  /// Writes the answer to the socket itself, so that it may stall, flood or lie.
  using Handler = std::function<void(const Request& request, int socket)>;

  explicit LocalServer(Handler handler) : handler_(std::move(handler)) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(socket_, 16), 0);
    socklen_t size = sizeof address;
    EXPECT_EQ(::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~LocalServer() {
    stop_ = true;
    ::shutdown(socket_, SHUT_RDWR);
    acceptor_.join();
    ::close(socket_);
    for (std::thread& thread : threads_) thread.join();
  }
  LocalServer(const LocalServer&) = delete;
  LocalServer& operator=(const LocalServer&) = delete;

  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] bool stopping() const { return stop_; }
  std::vector<Request> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

  /// False once the other side is gone.
  static bool send(int socket, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  static bool answer(int socket, const std::string& status, const std::string& type,
                     const std::string& body, const std::string& more = "") {
    return send(socket, "HTTP/1.1 " + status + "\r\nContent-Type: " + type +
                            "\r\nContent-Length: " + std::to_string(body.size()) +
                            "\r\nConnection: close\r\n" + more + "\r\n" + body);
  }

 private:
  void accept_all() {
    while (!stop_) {
      const int connection = ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0) continue;
      threads_.emplace_back([this, connection] {
        serve(connection);
        ::close(connection);
      });
    }
  }
  void serve(int connection) {
    Request request;
    std::string bytes;
    char buffer[4096];
    std::size_t end = std::string::npos;
    while ((end = bytes.find("\r\n\r\n")) == std::string::npos) {
      const ssize_t n = ::recv(connection, buffer, sizeof buffer, 0);
      if (n <= 0) return;
      bytes.append(buffer, static_cast<std::size_t>(n));
    }
    request.head = bytes.substr(0, end + 2);
    request.body = bytes.substr(end + 4);
    std::size_t length = 0;
    if (const auto at = request.head.find("Content-Length: "); at != std::string::npos)
      length = std::stoul(request.head.substr(at + 16));
    while (request.body.size() < length) {
      const ssize_t n = ::recv(connection, buffer, sizeof buffer, 0);
      if (n <= 0) return;
      request.body.append(buffer, static_cast<std::size_t>(n));
    }
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    handler_(request, connection);
    ::shutdown(connection, SHUT_WR);
  }

  Handler handler_;
  int socket_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread acceptor_;
  std::vector<std::thread> threads_;  // of the acceptor alone, until it has ended
  std::mutex mutex_;
  std::vector<Request> requests_;
};

}  // namespace espalier::dsl::testing
