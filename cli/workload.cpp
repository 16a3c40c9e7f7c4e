#include "cli/workload.h"

#include <limits>
#include <utility>

#include "batch/inputs.h"
#include "grammar/json_text.h"

namespace espalier::cli {
namespace {

Error wrong(const std::string& what) { return {ErrorCode::kInvalid, what}; }

Result<std::uint64_t> number(const Json& object, const char* key, std::uint64_t low,
                             std::uint64_t high) {
  const auto it = object.find(key);
  if (it == object.end()) return fail(wrong(std::string("\"") + key + "\" is missing"));
  const bool whole =
      it->is_number_integer() && (it->is_number_unsigned() || it->get<std::int64_t>() >= 0);
  if (!whole || it->get<std::uint64_t>() < low || it->get<std::uint64_t>() > high) {
    return fail(wrong(std::string("\"") + key + "\" is " + write_json(*it).substr(0, 40) +
                      ", not a number from " + std::to_string(low) + " to " +
                      std::to_string(high)));
  }
  return it->get<std::uint64_t>();
}

Result<WorkloadRequest> read_request(const Json& json, std::size_t index) {
  if (!json.is_object()) return fail(wrong("is no object"));
  WorkloadRequest request;
  for (const auto& [key, value] : json.items()) {
    if (key == "after") {
      if (index == 0) return fail(wrong("\"after\" names an earlier request, and there is none"));
      ESP_ASSIGN(request.after, number(json, "after", 0, index - 1));
    } else if (key == "text") {
      if (!value.is_string()) return fail(wrong("\"text\" is no string"));
      request.text = value.get<std::string>();
    } else if (key == "schema") {
      request.schema = value;
    } else if (key != "max_tokens") {
      return fail(
          wrong("\"" + key + "\" is not known: a request has text, max_tokens, after, schema"));
    }
  }
  ESP_ASSIGN(const std::uint64_t tokens, number(json, "max_tokens", 1, 1u << 20));
  request.max_tokens = static_cast<std::uint32_t>(tokens);
  if (request.text.empty() && !request.after)
    return fail(wrong("there is no \"text\" to begin with"));
  return request;
}

}  // namespace

Result<Workload> read_workload(const std::string& path, System& system) {
  ESP_ASSIGN(const auto inputs, batch::Inputs::open(path, system));
  if (inputs.documents())
    return fail(wrong("'" + path + "': a workload is a .jsonl file, a program a line"));
  Workload workload;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Json& id = inputs.id(i);
    WorkloadProgram program;
    program.id = id.is_string() ? id.get<std::string>() : write_json(id);
    const std::string place = "'" + path + "': program " + write_json(id);
    auto row = inputs.read(i, system);
    if (!row) return fail(std::move(row).error().within(place));
    const auto requests = row->fields.find("requests");
    if (requests == row->fields.end() || !requests->is_array() || requests->empty())
      return fail(wrong(place + " has no list of \"requests\""));
    for (std::size_t k = 0; k < requests->size(); ++k) {
      auto request = read_request((*requests)[k], k);
      if (!request)
        return fail(std::move(request).error().within(place + ", request " + std::to_string(k)));
      program.requests.push_back(std::move(*request));
    }
    workload.requests += program.requests.size();
    if (workload.requests > Workload::kMaxRequests) {
      return fail(ErrorCode::kLimit, "'" + path + "' has more than " +
                                         std::to_string(Workload::kMaxRequests) + " requests");
    }
    workload.programs.push_back(std::move(program));
  }
  return workload;
}

}  // namespace espalier::cli
