// How a model's template writes a tool call: what stands around the JSON.
//
// A call is `prefix`, its JSON object, `suffix`; several calls stand between `begin` and `end` with
// `separator` between them. The object has the keys `name_key` and `arguments_key`; where
// `name_key` is empty, the name stands outside: name_prefix NAME prefix ARGUMENTS suffix. Where
// `id_key` is not empty, the object has the call's id as well, as its first member or its last.
// The default is the plain form: {"name": …, "arguments": {…}}, and of several a JSON array.
#pragma once

#include <cstdint>
#include <string_view>

namespace espalier::grammar {

/// The texts outlive whatever holds the form (they are constants).
struct CallForm {
  std::string_view begin = {};
  std::string_view name_prefix = {};
  std::string_view prefix = {};
  std::string_view suffix = {};
  std::string_view separator = {};
  std::string_view end = {};
  std::string_view name_key = {};
  std::string_view arguments_key = {};
  std::string_view id_key = {};
  std::uint32_t id_size = 0;  // letters and digits of an id; 0: ids are numbers of three digits
  bool id_first = false;
  bool several = true;  // more than one call in a turn
};

inline constexpr CallForm kPlainCall{.begin = {},
                                     .name_prefix = {},
                                     .prefix = {},
                                     .suffix = {},
                                     .separator = {},
                                     .end = {},
                                     .name_key = "name",
                                     .arguments_key = "arguments",
                                     .id_key = {},
                                     .id_size = 0,
                                     .id_first = false,
                                     .several = false};

}  // namespace espalier::grammar
