#include "batch/csv.h"

namespace espalier::batch {
namespace {

/// Walks a text character by character and knows what is quoted.
class Quotes {
 public:
  explicit Quotes(char separator) : separator_(separator) {}

  enum class Place : std::uint8_t { kStart, kPlain, kQuoted, kClosed };  // of a field
  [[nodiscard]] Place place() const { return place_; }
  /// True: `c` ends a field or a record, being a separator or a line's end outside of quotes.
  bool ends(char c) {
    if (place_ == Place::kQuoted) {
      if (c == '"') place_ = Place::kClosed;
      return false;
    }
    if (c == separator_ || c == '\n') {
      place_ = Place::kStart;
      return true;
    }
    // A quote behind a closing one is a quote that the field holds.
    if (c == '"' && (place_ == Place::kStart || place_ == Place::kClosed)) {
      place_ = Place::kQuoted;
    } else if (place_ == Place::kStart) {
      place_ = Place::kPlain;
    }
    return false;
  }

 private:
  char separator_;
  Place place_ = Place::kStart;
};

std::string_view without_return(std::string_view line) {
  return line.ends_with('\r') ? line.substr(0, line.size() - 1) : line;
}

}  // namespace

std::vector<CsvRecord> csv_records(std::string_view text, char separator) {
  std::vector<CsvRecord> records;
  Quotes quotes(separator);
  std::size_t begin = 0;
  std::uint64_t line = 1, first = 1;
  const auto take = [&](std::size_t end) {
    const std::string_view record = without_return(text.substr(begin, end - begin));
    // A tab that separates is no blank.
    if (record.find_first_not_of(separator == '\t' ? " " : " \t") != std::string_view::npos)
      records.push_back({record, first});
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool ended = quotes.ends(text[i]);
    if (text[i] != '\n') continue;
    ++line;
    if (!ended) continue;
    take(i);
    begin = i + 1;
    first = line;
  }
  take(text.size());
  return records;
}

char csv_separator(std::string_view header) {
  bool quoted = false;
  for (const char c : header) {
    if (c == '"') quoted = !quoted;
    if (c == '\n' && !quoted) break;
    if (!quoted && (c == ',' || c == ';' || c == '\t')) return c;
  }
  return ',';
}

Result<std::vector<std::string>> csv_fields(std::string_view record, char separator) {
  std::vector<std::string> fields(1);
  Quotes quotes(separator);
  using Place = Quotes::Place;
  for (const char c : record) {
    const Place before = quotes.place();
    if (quotes.ends(c) && c == separator) {
      fields.emplace_back();
    } else if (before == Place::kClosed && quotes.place() != Place::kQuoted) {
      return fail(ErrorCode::kInvalid, "field " + std::to_string(fields.size()) +
                                           ": text stands behind its closing quote");
    } else if (c != '"' || before == Place::kPlain ||
               (before == Place::kClosed && quotes.place() == Place::kQuoted)) {
      fields.back() += c;
    }
  }
  if (quotes.place() == Place::kQuoted) {
    return fail(ErrorCode::kInvalid,
                "field " + std::to_string(fields.size()) + ": its quote is never closed");
  }
  return fields;
}

}  // namespace espalier::batch
