#include "cli/help.h"

#include <CLI/CLI.hpp>
#include <string_view>

namespace espalier::cli {
namespace {

constexpr std::size_t kWidth = 96;
constexpr std::size_t kIndent = 24;  // where an option's description begins

// `text` in lines of at most kWidth, the first beginning at column kIndent after `head`.
std::string entry(const std::string& head, std::string_view text) {
  std::string out = "  " + head;
  out += out.size() + 2 <= kIndent ? std::string(kIndent - out.size(), ' ')
                                   : "\n" + std::string(kIndent, ' ');
  std::size_t column = kIndent;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = text.find(' ', begin);
    if (end == std::string_view::npos) end = text.size();
    const std::size_t length = end - begin;
    if (column > kIndent && column + 1 + length > kWidth) {
      out += "\n" + std::string(kIndent, ' ');
      column = kIndent;
    } else if (column > kIndent) {
      out += ' ';
      ++column;
    }
    out += text.substr(begin, length);
    column += length;
    begin = end + 1;
  }
  return out + "\n";
}

}  // namespace

std::string verb_help(const Verb& verb, const CLI::App& app) {
  std::string text = std::string(verb.summary) + "\n\nusage: espalier " + std::string(verb.name);
  if (!verb.arguments.empty()) text += " " + std::string(verb.arguments);
  text += " [OPTION...]\n\n";
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional()) {
      text += entry(option->get_name(true, false), option->get_description());
    }
  }
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional()) continue;
    std::string head = option->get_name(false, true);
    if (option->get_type_size() != 0 && !option->get_type_name().empty())
      head += " " + option->get_type_name();
    std::string about = option->get_description();
    if (!option->get_default_str().empty()) about += " [" + option->get_default_str() + "]";
    if (option->get_required()) about += " (required)";
    text += entry(head, about);
  }
  return text + "\n" + std::string(verb.details);
}

}  // namespace espalier::cli
