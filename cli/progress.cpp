#include "cli/progress.h"

#include <algorithm>
#include <cstdio>
#include <ostream>

namespace espalier::cli {

void ProgressLine::show(std::string_view label, std::uint64_t done, std::uint64_t total,
                        std::string_view figures) {
  if (!console_.terminals().err) return;
  const auto now = system_.now();
  const bool last = total > 0 && done >= total;
  if (visible_ && !last && now - drawn_ < std::chrono::milliseconds(100)) return;
  drawn_ = now;
  visible_ = true;
  std::string line(label);
  if (total > 0) {
    const std::size_t taken = label.size() + figures.size() + 5;
    const std::size_t width = console_.terminals().width > taken + 4
                                  ? std::min<std::size_t>(40, console_.terminals().width - taken)
                                  : 0;
    if (width > 0) {
      const auto filled =
          static_cast<std::size_t>(static_cast<double>(std::min(done, total)) /
                                   static_cast<double>(total) * static_cast<double>(width));
      line += " [" + std::string(filled, '#') + std::string(width - filled, '-') + "]";
    }
  }
  line += ' ';
  line += figures;
  console_.err() << "\r\x1b[K" << line << std::flush;
}

void ProgressLine::clear() {
  if (!visible_) return;
  console_.err() << "\r\x1b[K" << std::flush;
  visible_ = false;
}

std::string human_bytes(std::uint64_t bytes) {
  char text[32];
  const auto value = static_cast<double>(bytes);
  if (bytes < 1000) {
    std::snprintf(text, sizeof text, "%d B", static_cast<int>(bytes));
  } else if (bytes < 1'000'000) {
    std::snprintf(text, sizeof text, "%.1f kB", value / 1e3);
  } else if (bytes < 1'000'000'000) {
    std::snprintf(text, sizeof text, "%.1f MB", value / 1e6);
  } else {
    std::snprintf(text, sizeof text, "%.2f GB", value / 1e9);
  }
  return text;
}

}  // namespace espalier::cli
