#include "cli/replace_file.h"

#include <span>

namespace espalier::cli {

Status replace_file(const std::string& path, const std::string& text, System& system) {
  const std::string part = path + ".part";
  ESP_ASSIGN(const auto file, system.open(part, OpenMode::kTruncate));
  Status status = file->append(std::as_bytes(std::span(text.data(), text.size())));
  if (status) status = file->sync();
  if (status) status = system.rename(part, path);
  if (!status) (void)system.remove(part);
  return status;
}

}  // namespace espalier::cli
