#include "cli/replace_file.h"

#include <span>

namespace espalier::cli {

Status replace_file(const std::string& path, const std::string& text, System& system) {
  ESP_ASSIGN(const std::string place, file_to_replace(path, system));
  const std::string part = place + ".part";
  ESP_ASSIGN(const auto file, system.open(part, OpenMode::kTruncate));
  Status status = file->append(std::as_bytes(std::span(text.data(), text.size())));
  if (status) status = file->sync();
  if (status) status = system.rename(part, place);
  if (!status) (void)system.remove(part);
  return status;
}

}  // namespace espalier::cli
