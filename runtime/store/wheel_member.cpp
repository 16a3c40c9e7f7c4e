#include "runtime/store/wheel_member.h"

#include <zip.h>

#include <memory>
#include <utility>
#include <vector>

namespace espalier::runtime {
namespace {

constexpr std::size_t kChunk = 1 << 20;

struct CloseArchive {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct CloseFile {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};

}  // namespace

Status read_wheel_member(System& system, const std::string& path, const std::string& member,
                         std::uint64_t limit,
                         const std::function<Status(std::span<const std::byte>)>& sink) {
  ESP_ASSIGN(const auto mapping, system.map(path));
  const auto damaged = [&](const std::string& why) {
    return fail(ErrorCode::kCorrupt, path + ": " + why);
  };
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source =
      zip_source_buffer_create(mapping->bytes().data(), mapping->bytes().size(), 0, &error);
  if (source == nullptr) return damaged(zip_error_strerror(&error));
  const std::unique_ptr<zip_t, CloseArchive> archive(
      zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error));
  if (archive == nullptr) {
    zip_source_free(source);  // a success would have taken it over
    return damaged(zip_error_strerror(&error));
  }
  zip_error_fini(&error);

  const std::unique_ptr<zip_file_t, CloseFile> file(zip_fopen(archive.get(), member.c_str(), 0));
  if (file == nullptr) return fail(ErrorCode::kNotFound, path + " has no member '" + member + "'");
  std::vector<std::byte> chunk(kChunk);
  std::uint64_t total = 0;
  for (;;) {
    const zip_int64_t count = zip_fread(file.get(), chunk.data(), chunk.size());
    if (count < 0) return damaged("member '" + member + "': " + zip_file_strerror(file.get()));
    if (count == 0) return {};
    total += static_cast<std::uint64_t>(count);
    if (total > limit) {
      return fail(ErrorCode::kLimit, path + ": member '" + member + "' has more than the " +
                                         std::to_string(limit) +
                                         " bytes that are left of its model");
    }
    ESP_TRY(sink(std::span(chunk).first(static_cast<std::size_t>(count))));
  }
}

}  // namespace espalier::runtime
