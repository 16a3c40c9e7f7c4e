#include "runtime/model/gguf_writer.h"

#include <algorithm>
#include <utility>

namespace espalier::runtime {
namespace {

constexpr std::uint64_t kPieceBytes = 4 << 20;  // made and written at a time

void put_string(std::string& out, std::string_view value) {
  put_bytes(out, std::uint64_t{value.size()});
  out += value;
}
std::uint64_t aligned(std::uint64_t bytes) {
  return (bytes + GgufWriter::kAlignment - 1) / GgufWriter::kAlignment * GgufWriter::kAlignment;
}

}  // namespace

std::uint64_t GgufWriter::Planned::row_bytes() const {
  const TensorTraits& traits = *tensor_traits(type);
  return columns / traits.block_weights * traits.block_bytes;
}
std::uint64_t GgufWriter::Planned::padded_bytes() const { return aligned(rows * row_bytes()); }

void GgufWriter::start(std::string_view key, GgufType type) {
  put_string(keys_, key);
  put_bytes(keys_, static_cast<std::uint32_t>(type));
  ++key_count_;
}
void GgufWriter::start_array(std::string_view key, GgufType element, std::uint64_t count) {
  start(key, GgufType::kArray);
  put_bytes(keys_, static_cast<std::uint32_t>(element));
  put_bytes(keys_, count);
}
void GgufWriter::integer(std::string_view key, std::uint32_t value) {
  start(key, GgufType::kU32);
  put_bytes(keys_, value);
}
void GgufWriter::number(std::string_view key, float value) {
  start(key, GgufType::kF32);
  put_bytes(keys_, value);
}
void GgufWriter::boolean(std::string_view key, bool value) {
  start(key, GgufType::kBool);
  put_bytes(keys_, static_cast<std::uint8_t>(value));
}
void GgufWriter::string(std::string_view key, std::string_view value) {
  start(key, GgufType::kString);
  put_string(keys_, value);
}
void GgufWriter::strings(std::string_view key, std::span<const std::string> values) {
  start_array(key, GgufType::kString, values.size());
  for (const std::string& value : values) put_string(keys_, value);
}
void GgufWriter::integers(std::string_view key, std::span<const std::int32_t> values) {
  start_array(key, GgufType::kI32, values.size());
  for (const std::int32_t value : values) put_bytes(keys_, value);
}
void GgufWriter::copy(std::string_view key, const Gguf& file) {
  put_string(keys_, key);
  keys_ += file.stored_value(key);
  ++key_count_;
}

void GgufWriter::tensor(std::string name, TensorType type, std::uint64_t columns,
                        std::uint64_t rows, Rows make) {
  ESP_CHECK(columns % tensor_traits(type)->block_weights == 0);
  tensors_.push_back({std::move(name), type, columns, rows, std::move(make)});
}

std::string GgufWriter::header() const {
  std::string out = "GGUF";
  put_bytes(out, std::uint32_t{3});
  put_bytes(out, std::uint64_t{tensors_.size()});
  put_bytes(out, key_count_);
  out += keys_;
  std::uint64_t offset = 0;
  for (const Planned& tensor : tensors_) {
    put_string(out, tensor.name);
    put_bytes(out, std::uint32_t{tensor.rows == 1 ? 1U : 2U});
    put_bytes(out, tensor.columns);
    if (tensor.rows != 1) put_bytes(out, tensor.rows);
    put_bytes(out, static_cast<std::uint32_t>(tensor.type));
    put_bytes(out, offset);
    offset += tensor.padded_bytes();
  }
  out.resize(aligned(out.size()));
  return out;
}

std::uint64_t GgufWriter::bytes() const {
  std::uint64_t sum = header().size();
  for (const Planned& tensor : tensors_) sum += tensor.padded_bytes();
  return sum;
}

Status GgufWriter::write_all(OutputFile& file,
                             const std::function<bool(std::uint64_t bytes)>& progress) const {
  std::uint64_t written = 0;
  const auto append = [&](const std::string& piece) -> Status {
    ESP_TRY(file.append(std::as_bytes(std::span(piece))));
    written += piece.size();
    if (!progress(written)) return fail(ErrorCode::kCancelled, "stopped");
    return {};
  };
  ESP_TRY(append(header()));
  for (const Planned& tensor : tensors_) {
    const std::uint64_t at_once = std::max<std::uint64_t>(1, kPieceBytes / tensor.row_bytes());
    for (std::uint64_t row = 0; row < tensor.rows; row += at_once) {
      const std::uint64_t count = std::min(at_once, tensor.rows - row);
      std::string piece = tensor.make(row, count);
      ESP_CHECK(piece.size() == count * tensor.row_bytes());
      if (row + count == tensor.rows)
        piece.resize(piece.size() + tensor.padded_bytes() - tensor.rows * tensor.row_bytes());
      ESP_TRY(append(piece));
    }
  }
  return file.sync();
}

Status GgufWriter::write(const std::string& path, System& system,
                         const std::function<bool(std::uint64_t bytes)>& progress) const {
  // A file that is there is replaced at the end. What is no file is not: a device's node would be.
  if (path.empty() || path.ends_with('/')) {
    return fail(ErrorCode::kInvalid, "'" + path + "' is no name of a file");
  }
  if (const auto there = system.info(path)) {
    if (!there->is_regular)
      return fail(ErrorCode::kInvalid, "'" + path + "' is not a regular file");
  }
  const std::string part = path + ".part";
  ESP_ASSIGN(const auto lock, system.try_lock(part + ".lock"));
  if (lock == nullptr) return fail(ErrorCode::kInvalid, "'" + part + "' is being written");
  Status status;
  {
    ESP_ASSIGN(const auto file, system.open(part, OpenMode::kTruncate));
    status = write_all(*file, progress);
  }
  if (status) status = system.rename(part, path);
  if (!status) (void)system.remove(part);
  return status;
}

}  // namespace espalier::runtime
