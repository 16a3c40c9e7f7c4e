#include "grammar/held_bytes.h"

namespace espalier::grammar {

std::size_t held_bytes_of_json(const Json& value) {
  std::size_t out = 0;
  std::vector<const Json*> open{&value};
  while (!open.empty()) {
    const Json& at = *open.back();
    open.pop_back();
    if (at.is_string()) {
      const auto& text = at.get_ref<const std::string&>();
      out += block_bytes(sizeof(std::string)) + held_bytes(text);
    } else if (at.is_array()) {
      const auto& items = at.get_ref<const Json::array_t&>();
      out += block_bytes(sizeof(Json::array_t)) + block_bytes(items.capacity() * sizeof(Json));
      for (const Json& item : items) open.push_back(&item);
    } else if (at.is_object()) {
      const auto& members = at.get_ref<const Json::object_t&>();
      out += block_bytes(sizeof(Json::object_t)) +
             block_bytes(members.capacity() * sizeof *members.data());
      for (const auto& [key, member] : members) {
        out += held_bytes(key);
        open.push_back(&member);
      }
    }
  }
  return out;
}

}  // namespace espalier::grammar
