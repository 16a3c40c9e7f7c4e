#include "batch/journal.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <span>
#include <utility>

#include "grammar/json_text.h"

namespace espalier::batch {
namespace {

constexpr std::string_view kFormat = "espalier-job-1";
constexpr std::uint64_t kMaxIdentityBytes = 64u << 20;

std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// Writes `content` to a new file and puts it in the place of `path`: afterwards `path` holds either
// the old content or all of the new one, and the new one is on the device.
Status replace_file(const std::string& path, std::string_view content, System& system) {
  const std::string temporary = path + ".part";
  ESP_ASSIGN(const auto file, system.open(temporary, OpenMode::kTruncate));
  auto status = content.empty() ? Status() : file->append(as_bytes(content));
  if (status) status = file->sync();
  if (status) status = system.rename(temporary, path);
  if (!status) {
    (void)system.remove(
        temporary);  // best effort: a left-over .part is overwritten by the next try
  }
  return status;
}

// A whole row: one object with an id and either a value or an error.
struct ParsedRow {
  std::string id;
  bool failed = false;
};
std::optional<ParsedRow> parse_row(std::string_view line) {
  auto row = read_json(line);
  if (!row || !row->is_object()) return std::nullopt;
  const auto id = row->find("id");
  if (id == row->end() || !(id->is_string() || id->is_number_integer())) return std::nullopt;
  const bool failed = row->contains("error");
  if (failed == row->contains("value")) return std::nullopt;
  return ParsedRow{write_json(*id), failed};
}

// The members in which two identities differ, as a message names them: "the program and the model".
std::string differences(const Json& a, const Json& b) {
  std::vector<std::string> names;
  const auto note = [&](const std::string& key) {
    if (std::find(names.begin(), names.end(), key) == names.end()) names.push_back(key);
  };
  for (const auto& [key, value] : a.items()) {
    if (!b.contains(key) || b[key] != value) note(key);
  }
  for (const auto& [key, value] : b.items()) {
    if (!a.contains(key)) note(key);
  }
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " and " : ", ";
    text += "the " + names[i];
  }
  return text;
}

}  // namespace

std::string identity_path(const std::string& out) { return out + ".job"; }
std::string lock_path(const std::string& out) { return out + ".lock"; }

Result<Journal> Journal::open(const std::string& out, const Json& identity, Options options,
                              System& system) {
  auto place = file_to_replace(out, system);
  if (!place) return fail(std::move(place).error().within("the output"));
  const std::string& path = *place;
  Journal journal(path, system);
  journal.identity_ = identity;
  journal.last_sync_ = system.now();

  ESP_ASSIGN(journal.lock_, system.try_lock(lock_path(path)));
  if (journal.lock_ == nullptr) {
    return fail(ErrorCode::kInvalid, "another job is writing '" + path + "' now (it holds '" +
                                         lock_path(path) +
                                         "'): wait until it is over, or choose another output");
  }
  const auto existing = system.info(path);
  if (!existing && existing.error().code != ErrorCode::kNotFound) return fail(existing.error());
  if (existing && existing->size > 0 && !options.restart) {
    auto text = system.read(identity_path(path), kMaxIdentityBytes);
    if (!text && text.error().code == ErrorCode::kNotFound) {
      return fail(ErrorCode::kInvalid, "'" + path + "' exists and no job wrote it (there is no '" +
                                           identity_path(path) +
                                           "'): choose another output, or --restart to replace it");
    }
    if (!text) return fail(std::move(text).error());
    const auto stored = read_json(*text);
    const auto member = [&](const char* key) {
      return stored && stored->is_object() && stored->contains(key) ? (*stored)[key] : Json();
    };
    if (member("format") != kFormat || !member("identity").is_object() ||
        !member("finished").is_boolean()) {
      return fail(ErrorCode::kCorrupt, "'" + identity_path(path) +
                                           "' does not describe a job: choose another output, or "
                                           "--restart to replace '" +
                                           path + "'");
    }
    ESP_TRY(journal.adopt(*stored, options.retry_failed));
    return journal;
  }
  // A new job. The old rows go before the new identity comes: at no moment do they stand under it.
  if (existing) ESP_TRY(system.remove(path));
  ESP_TRY(journal.write_identity(false));
  ESP_TRY(journal.start_file({}));
  return journal;
}

Status Journal::adopt(const Json& stored, bool retry_failed) {
  if (const std::string what = differences(stored["identity"], identity_); !what.empty()) {
    return fail(ErrorCode::kInvalid,
                "'" + path_ + "' belongs to another job: " + what +
                    " changed since; choose another output, or --restart to begin anew");
  }
  ESP_ASSIGN(const auto mapping, system_->map(path_));
  const std::string_view text(reinterpret_cast<const char*>(mapping->bytes().data()),
                              mapping->bytes().size());
  std::string kept;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) break;  // torn: no line break
    const std::string_view line = text.substr(begin, end + 1 - begin);
    begin = end + 1;
    const auto row = parse_row(line);
    if (!row || extents_.contains(row->id) || (row->failed && retry_failed)) continue;
    extents_.emplace(row->id, Extent{kept.size(), line.size(), row->failed});
    order_.push_back(row->id);
    failed_ += row->failed ? 1 : 0;
    kept += line;
  }
  const bool was_finished = stored["finished"].get<bool>();
  finished_ = was_finished && kept.size() == text.size();
  dropped_ = retry_failed ? 0 : text.size() - kept.size();
  if (!finished_) {
    // Rows will follow that are neither in order nor synced: the claim goes first.
    if (was_finished) ESP_TRY(write_identity(false));
    return start_file(kept);
  }
  ESP_ASSIGN(file_, system_->open(path_, OpenMode::kAppend));
  size_ = text.size();
  return {};
}

Status Journal::start_file(std::string_view content) {
  ESP_TRY(replace_file(path_, content, *system_));
  ESP_ASSIGN(file_, system_->open(path_, OpenMode::kAppend));
  size_ = content.size();
  return {};
}

Status Journal::write_identity(bool finished) {
  Json object;
  object["format"] = kFormat;
  object["finished"] = finished;
  object["identity"] = identity_;
  ESP_TRY(replace_file(identity_path(path_), write_json(object) + "\n", *system_));
  finished_ = finished;
  return {};
}

bool Journal::has(const Json& id) const { return extents_.contains(write_json(id)); }

Status Journal::append(const Json& row) {
  if (broken_) return fail(ErrorCode::kInternal, "'" + path_ + "' takes no further rows");
  // The claim to be finished goes before the first row that makes it untrue.
  if (finished_) ESP_TRY(write_identity(false));
  const std::string line = write_json(row) + "\n";
  const std::string id = write_json(row["id"]);
  ESP_CHECK(!extents_.contains(id));
  if (auto status = file_->append(as_bytes(line)); !status) {
    broken_ = true;
    (void)file_->truncate(size_);  // where even this fails, opening drops the torn row
    return status;
  }
  const bool failed = row.contains("error");
  extents_.emplace(id, Extent{size_, line.size(), failed});
  order_.push_back(id);
  size_ += line.size();
  failed_ += failed ? 1 : 0;
  ++unsynced_;
  const std::chrono::duration<double> since = system_->now() - last_sync_;
  if (unsynced_ >= kSyncRows || since.count() >= kSyncSeconds) return sync();
  return {};
}

Status Journal::sync() {
  if (unsynced_ > 0) {
    if (auto status = file_->sync(); !status) {
      broken_ = true;
      return status;
    }
  }
  unsynced_ = 0;
  last_sync_ = system_->now();
  return {};
}

Status Journal::pause() { return broken_ ? Status() : sync(); }

Status Journal::finish(const std::vector<Json>& ids) {
  if (broken_) return fail(ErrorCode::kInternal, "'" + path_ + "' takes no further rows");
  ESP_TRY(sync());
  std::unordered_map<std::string, std::size_t> places;
  for (std::size_t i = 0; i < ids.size(); ++i) places.emplace(write_json(ids[i]), i);
  const auto place = [&](const std::string& id) {
    const auto found = places.find(id);
    return found == places.end() ? places.size() : found->second;
  };
  const auto before = [&](const std::string& a, const std::string& b) {
    return place(a) < place(b);
  };
  if (!std::is_sorted(order_.begin(), order_.end(), before)) {
    std::stable_sort(order_.begin(), order_.end(), before);
    std::string content;
    content.reserve(size_);
    {
      ESP_ASSIGN(const auto mapping, system_->map(path_));
      const std::string_view text(reinterpret_cast<const char*>(mapping->bytes().data()),
                                  mapping->bytes().size());
      if (text.size() != size_) {
        broken_ = true;
        return fail(ErrorCode::kCorrupt, "'" + path_ + "' changed while the job ran: it has " +
                                             std::to_string(text.size()) + " bytes, not " +
                                             std::to_string(size_));
      }
      for (const std::string& id : order_) {
        Extent& extent = extents_[id];
        const std::string_view line = text.substr(extent.offset, extent.length);
        extent.offset = content.size();
        content += line;
      }
    }
    ESP_TRY(start_file(content));
  }
  if (!finished_) ESP_TRY(write_identity(true));
  return {};
}

}  // namespace espalier::batch
