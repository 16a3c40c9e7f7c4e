// Tables of comma-separated values (RFC 4180), cut into records and fields.
//
// A field in quotes may hold separators, lines' ends and quotes (doubled); a quote inside a field
// that does not begin with one stands for itself. Lines end with LF or CRLF. The separator is what
// the header shows: a tab, a semicolon or a comma, whichever stands in it outside of quotes first.
// Nothing is copied until a record's fields are asked for; one pass over the text in all.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace espalier::batch {

struct CsvRecord {
  std::string_view text;   // without the line's end
  std::uint64_t line = 1;  // on which it begins
};

/// The records of a table, in order; blank lines are none. `text` must outlive them. A quote that
/// is never closed takes the rest of the text: csv_fields() says so.
[[nodiscard]] std::vector<CsvRecord> csv_records(std::string_view text, char separator);

/// ',', ';' or tab; a comma where there is none of them.
[[nodiscard]] char csv_separator(std::string_view header);

/// The fields of one record. kInvalid: a quote that is never closed, or text behind a closed one.
[[nodiscard]] Result<std::vector<std::string>> csv_fields(std::string_view record, char separator);

}  // namespace espalier::batch
