// Tables of any bytes: records lie in the text in order, and what is read of them, written by the
// rules, is read again.
#include <cstdlib>
#include <string>

#include "batch/csv.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace espalier::batch;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const char separator = csv_separator(text);
  const char* end = text.data();
  std::uint64_t line = 0;
  for (const CsvRecord& record : csv_records(text, separator)) {
    if (record.text.data() < end || record.line <= line) std::abort();
    end = record.text.data() + record.text.size();
    line = record.line;
    const auto fields = csv_fields(record.text, separator);
    if (!fields) continue;
    std::string written;
    for (const std::string& field : *fields) {
      if (!written.empty()) written += separator;
      written += '"';
      for (const char one : field) written += one == '"' ? "\"\"" : std::string(1, one);
      written += '"';
    }
    const auto again = csv_records(written, separator);
    if (again.size() != 1 || csv_fields(again[0].text, separator).value() != *fields) std::abort();
  }
  if (end > text.data() + text.size()) std::abort();
  return 0;
}
