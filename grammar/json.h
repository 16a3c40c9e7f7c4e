// The JSON value type of the whole project: object keys keep their order, integers stay int64.
#pragma once

#include <nlohmann/json.hpp>

namespace espalier {

using Json = nlohmann::ordered_json;

}  // namespace espalier
