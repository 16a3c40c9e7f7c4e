#include "runtime/model/gguf.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <type_traits>
#include <utility>

#include "runtime/model/gguf_values.h"

namespace espalier::runtime {
namespace {

static_assert(std::endian::native == std::endian::little,
              "GGUF is read in place, so the machine must be little-endian");

// Names of ggml's tensor types, so that a refusal can say which one was met.
std::string tensor_type_name(std::uint32_t type) {
  static constexpr std::string_view kNames[] = {
      "F32",     "F16",    "Q4_0",    "Q4_1",  "",       "",      "Q5_0",  "Q5_1",
      "Q8_0",    "Q8_1",   "Q2_K",    "Q3_K",  "Q4_K",   "Q5_K",  "Q6_K",  "Q8_K",
      "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS",
      "I8",      "I16",    "I32",     "I64",   "F64",    "IQ1_M", "BF16",  "",
      "",        "",       "TQ1_0",   "TQ2_0", "",       "",      "",      "MXFP4"};
  if (type < std::size(kNames) && !kNames[type].empty()) return std::string(kNames[type]);
  return "number " + std::to_string(type);
}

std::string dimensions_text(const GgufTensor& tensor) {
  std::string text = "[";
  for (std::uint32_t i = 0; i < tensor.dimensions; ++i) {
    if (i > 0) text += ", ";
    text += number_text(tensor.shape[i]);
  }
  return text + "]";
}

}  // namespace

std::string shown(std::string_view text) {
  static constexpr std::size_t kMost = 64;
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "'";
  for (const char c : text.substr(0, kMost)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7F && c != '\'' && c != '\\') {
      out += c;
    } else {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  if (text.size() > kMost) out += "…";
  return out + "'";
}

// Walks the file from its start; every step checks what is left before it moves.
class Gguf::Reader {
 public:
  Reader(const Gguf& file, std::span<const std::byte> bytes) : file_(file), bytes_(bytes) {}

  [[nodiscard]] std::uint64_t at() const { return at_; }
  [[nodiscard]] std::uint64_t left() const { return bytes_.size() - at_; }

  // `where` is what is being read, as an error names it.
  [[nodiscard]] Result<std::span<const std::byte>> take(std::uint64_t count,
                                                        const std::string& where) {
    if (count > left()) {
      return file_.refuse(ErrorCode::kCorrupt, where + ": needs " + number_text(count) +
                                                   " bytes at offset " + number_text(at_) +
                                                   ", but the file ends after " +
                                                   number_text(left()) + " more");
    }
    const auto taken = bytes_.subspan(at_, count);
    at_ += count;
    return taken;
  }

  template <class T>
  [[nodiscard]] Result<T> read(const std::string& where) {
    ESP_ASSIGN(const auto taken, take(sizeof(T), where));
    return load<T>(taken.data());
  }

  [[nodiscard]] Result<std::string_view> read_name(std::uint64_t limit, const std::string& where) {
    ESP_ASSIGN(const auto length, read<std::uint64_t>(where));
    if (length > limit) {
      return file_.refuse(ErrorCode::kLimit, where + ": a name of " + number_text(length) +
                                                 " bytes; at most " + number_text(limit));
    }
    ESP_ASSIGN(const auto taken, take(length, where));
    if (taken.empty()) return file_.refuse(ErrorCode::kCorrupt, where + ": its name is empty");
    return std::string_view(reinterpret_cast<const char*>(taken.data()), taken.size());
  }

  [[nodiscard]] Result<Value> read_value(const std::string& where) {
    Value value;
    ESP_ASSIGN(const auto type, read<std::uint32_t>(where));
    value.type = static_cast<GgufType>(type);
    if (value.type == GgufType::kString) {
      ESP_ASSIGN(const auto length, read<std::uint64_t>(where));
      ESP_ASSIGN(value.bytes, take(length, where));
      return value;
    }
    if (value.type == GgufType::kArray) {
      ESP_TRY(read_array(where, value));
      return value;
    }
    if (scalar_bytes(value.type) == 0) {
      return file_.refuse(ErrorCode::kCorrupt, where + ": " + type_name(value.type));
    }
    ESP_ASSIGN(value.bytes, take(scalar_bytes(value.type), where));
    if (value.type == GgufType::kBool && load<std::uint8_t>(value.bytes.data()) > 1) {
      return file_.refuse(ErrorCode::kCorrupt, where + ": a bool that is neither 0 nor 1");
    }
    return value;
  }

 private:
  [[nodiscard]] Status read_array(const std::string& where, Value& value) {
    ESP_ASSIGN(const auto element, read<std::uint32_t>(where));
    value.element = static_cast<GgufType>(element);
    ESP_ASSIGN(value.count, read<std::uint64_t>(where));
    if (value.element == GgufType::kArray) {
      return file_.refuse(ErrorCode::kUnsupported, where + ": an array of arrays");
    }
    const bool strings = value.element == GgufType::kString;
    const std::uint64_t least = strings ? sizeof(std::uint64_t) : scalar_bytes(value.element);
    if (least == 0)
      return file_.refuse(ErrorCode::kCorrupt, where + ": an array of " + type_name(value.element));
    if (value.count > left() / least) {
      return file_.refuse(ErrorCode::kCorrupt, where + ": an array of " + number_text(value.count) +
                                                   " elements does not fit into the " +
                                                   number_text(left()) +
                                                   " bytes that are left of the file");
    }
    const std::uint64_t start = at_;
    if (strings) {
      for (std::uint64_t i = 0; i < value.count; ++i) {
        // Spelled out rather than by take(): this loop sees every token of a vocabulary.
        const std::uint64_t length =
            left() < sizeof(std::uint64_t) ? left() : load<std::uint64_t>(&bytes_[at_]);
        if (left() < sizeof(std::uint64_t) || length > left() - sizeof(std::uint64_t)) {
          return file_.refuse(ErrorCode::kCorrupt, where + ": string " + number_text(i) +
                                                       " at offset " + number_text(at_) +
                                                       " runs past the end of the file");
        }
        at_ += sizeof(std::uint64_t) + length;
      }
    } else {
      at_ += value.count * least;
    }
    value.bytes = bytes_.subspan(start, at_ - start);
    return {};
  }

  const Gguf& file_;
  std::span<const std::byte> bytes_;
  std::uint64_t at_ = 0;
};

tl::unexpected<Error> Gguf::refuse(ErrorCode code, const std::string& message) const {
  return fail(code, path_ + ": " + message);
}

Result<Gguf> Gguf::open(const std::string& path, System& system) {
  ESP_ASSIGN(auto mapping, system.map(path));
  return parse(std::move(mapping), path);
}

Result<Gguf> Gguf::parse(std::shared_ptr<const Mapping> mapping, std::string path) {
  Gguf file;
  file.path_ = std::move(path);
  const std::span<const std::byte> bytes = mapping->bytes();
  file.mappings_.push_back(std::move(mapping));
  Reader reader(file, bytes);

  ESP_ASSIGN(const auto magic, reader.take(4, "header"));
  if (std::memcmp(magic.data(), "GGUF", 4) != 0)
    return file.refuse(ErrorCode::kCorrupt, "not a GGUF file");
  ESP_ASSIGN(file.version_, reader.read<std::uint32_t>("header"));
  if (file.version_ != 2 && file.version_ != 3) {
    const bool swapped = file.version_ != 0 && (file.version_ & 0xFFFFU) == 0;
    return file.refuse(ErrorCode::kUnsupported, swapped
                                                    ? "a big-endian GGUF file"
                                                    : "GGUF version " + number_text(file.version_) +
                                                          "; versions 2 and 3 are supported");
  }
  ESP_ASSIGN(const auto tensor_count, reader.read<std::uint64_t>("header"));
  ESP_ASSIGN(const auto key_count, reader.read<std::uint64_t>("header"));
  if (tensor_count > kMaxTensors) {
    return file.refuse(ErrorCode::kLimit, "header: " + number_text(tensor_count) +
                                              " tensors; at most " + number_text(kMaxTensors));
  }
  if (key_count > kMaxKeys) {
    return file.refuse(ErrorCode::kLimit, "header: " + number_text(key_count) + " keys; at most " +
                                              number_text(kMaxKeys));
  }

  for (std::uint64_t i = 0; i < key_count; ++i) {
    ESP_ASSIGN(const auto key, reader.read_name(kMaxKeyBytes, "key " + number_text(i)));
    ESP_ASSIGN(const auto value, reader.read_value("key " + shown(key)));
    if (!file.values_.emplace(key, value).second) {
      return file.refuse(ErrorCode::kCorrupt, "key " + shown(key) + " occurs twice");
    }
  }

  for (std::uint64_t i = 0; i < tensor_count; ++i) {
    GgufTensor tensor;
    ESP_ASSIGN(tensor.name, reader.read_name(kMaxTensorNameBytes, "tensor " + number_text(i)));
    const std::string where = "tensor " + shown(tensor.name);
    ESP_ASSIGN(tensor.dimensions, reader.read<std::uint32_t>(where));
    if (tensor.dimensions < 1 || tensor.dimensions > tensor.shape.size()) {
      return file.refuse(ErrorCode::kCorrupt,
                         where + ": " + number_text(tensor.dimensions) + " dimensions; 1 to 4");
    }
    for (std::uint32_t d = 0; d < tensor.dimensions; ++d) {
      ESP_ASSIGN(tensor.shape[d], reader.read<std::uint64_t>(where));
    }
    ESP_ASSIGN(tensor.type, reader.read<std::uint32_t>(where));
    ESP_ASSIGN(tensor.offset, reader.read<std::uint64_t>(where));
    file.tensors_.push_back(tensor);
  }
  ESP_TRY(file.place_tensors(reader.at()));
  return file;
}

// Checks alignment, sizes, extents, overlaps and names, and gives each tensor its bytes.
Status Gguf::place_tensors(std::uint64_t header_end) {
  const auto bytes = mappings_.front()->bytes();
  ESP_ASSIGN(const auto alignment, integer_or("general.alignment", 32, 8, kMaxAlignment));
  if (!std::has_single_bit(alignment)) {
    return refuse(ErrorCode::kCorrupt,
                  "key 'general.alignment': " + number_text(alignment) + " is not a power of two");
  }
  const std::uint64_t data_start = (header_end + alignment - 1) / alignment * alignment;
  if (!tensors_.empty() && data_start > bytes.size()) {
    return refuse(ErrorCode::kCorrupt, "the tensors' data would start at " +
                                           number_text(data_start) + ", but the file has " +
                                           number_text(bytes.size()) + " bytes");
  }

  for (GgufTensor& tensor : tensors_) {
    const std::string where = "tensor " + shown(tensor.name);
    if (tensor.offset % alignment != 0) {
      return refuse(ErrorCode::kCorrupt, where + ": offset " + number_text(tensor.offset) +
                                             " is not a multiple of the alignment " +
                                             number_text(alignment));
    }
    const std::uint64_t room = bytes.size() - data_start;
    if (tensor.offset > room) {
      return refuse(ErrorCode::kCorrupt, where + ": offset " + number_text(tensor.offset) +
                                             " is past the " + number_text(room) +
                                             " bytes of data");
    }
    std::uint64_t weights = 1;
    for (std::uint32_t d = 0; d < tensor.dimensions; ++d) {
      if (tensor.shape[d] == 0) return refuse(ErrorCode::kCorrupt, where + ": a dimension is 0");
      if (__builtin_mul_overflow(weights, tensor.shape[d], &weights)) {
        return refuse(ErrorCode::kCorrupt,
                      where + ": the product of " + dimensions_text(tensor) + " overflows");
      }
    }
    const TensorTraits* traits = tensor_traits(static_cast<TensorType>(tensor.type));
    if (traits == nullptr) continue;  // tensor() refuses it, should anyone ask for it
    if (tensor.shape[0] % traits->block_weights != 0) {
      return refuse(ErrorCode::kCorrupt, where + ": rows of " + number_text(tensor.shape[0]) +
                                             " are no multiple of " + std::string(traits->name) +
                                             "'s block of " + number_text(traits->block_weights));
    }
    std::uint64_t size = 0;
    if (__builtin_mul_overflow(weights / traits->block_weights, traits->block_bytes, &size) ||
        size > room - tensor.offset) {
      return refuse(ErrorCode::kCorrupt, where + ": " + dimensions_text(tensor) + " of " +
                                             std::string(traits->name) + " at offset " +
                                             number_text(tensor.offset) + " runs past the " +
                                             number_text(room) + " bytes of data");
    }
    tensor.data = bytes.subspan(data_start + tensor.offset, size);
  }

  by_name_.resize(tensors_.size());
  std::iota(by_name_.begin(), by_name_.end(), 0U);
  std::sort(by_name_.begin(), by_name_.end(), [&](std::uint32_t a, std::uint32_t b) {
    return tensors_[a].offset < tensors_[b].offset;
  });
  for (std::size_t i = 1; i < by_name_.size(); ++i) {
    const GgufTensor& before = tensors_[by_name_[i - 1]];
    const GgufTensor& after = tensors_[by_name_[i]];
    // A tensor of an unknown type has no extent, but its start still lies in nobody else's.
    if (after.offset - before.offset < std::max<std::uint64_t>(before.data.size(), 1)) {
      return refuse(ErrorCode::kCorrupt,
                    "tensors " + shown(before.name) + " and " + shown(after.name) + " overlap");
    }
  }
  return sort_names();
}

Status Gguf::sort_names() {
  by_name_.resize(tensors_.size());
  std::iota(by_name_.begin(), by_name_.end(), 0U);
  std::sort(by_name_.begin(), by_name_.end(),
            [&](std::uint32_t a, std::uint32_t b) { return tensors_[a].name < tensors_[b].name; });
  for (std::size_t i = 1; i < by_name_.size(); ++i) {
    if (tensors_[by_name_[i - 1]].name == tensors_[by_name_[i]].name) {
      return refuse(ErrorCode::kCorrupt,
                    "tensor " + shown(tensors_[by_name_[i]].name) + " occurs twice");
    }
  }
  return {};
}

std::uint64_t Gguf::file_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& mapping : mappings_) bytes += mapping->bytes().size();
  return bytes;
}

void Gguf::discard(std::span<const std::byte> part) const {
  const std::less<> before;
  for (const auto& mapping : mappings_) {
    const auto bytes = mapping->bytes();
    if (before(part.data(), bytes.data()) || before(bytes.data() + bytes.size(), part.data())) {
      continue;
    }
    mapping->discard(part);
    return;
  }
}

Status Gguf::join(Gguf later) {
  for (const auto& [key, theirs] : later.values_) {
    const auto ours = values_.find(key);
    if (ours == values_.end() || key.starts_with("split.")) continue;
    const Value& value = ours->second;
    if (value.type != theirs.type || value.element != theirs.element ||
        !std::equal(value.bytes.begin(), value.bytes.end(), theirs.bytes.begin(),
                    theirs.bytes.end())) {
      return later.refuse(ErrorCode::kCorrupt,
                          "key " + shown(key) + " has another value than in " + path_);
    }
  }
  mappings_.insert(mappings_.end(), later.mappings_.begin(), later.mappings_.end());
  tensors_.insert(tensors_.end(), later.tensors_.begin(), later.tensors_.end());
  return sort_names();
}

const GgufTensor* Gguf::find(std::string_view name) const {
  const auto found = std::lower_bound(
      by_name_.begin(), by_name_.end(), name,
      [&](std::uint32_t index, std::string_view wanted) { return tensors_[index].name < wanted; });
  if (found == by_name_.end() || tensors_[*found].name != name) return nullptr;
  return &tensors_[*found];
}

Result<Tensor> Gguf::tensor(std::string_view name, std::uint64_t columns,
                            std::uint64_t rows) const {
  const GgufTensor* found = find(name);
  if (found == nullptr)
    return refuse(ErrorCode::kNotFound, "tensor " + shown(name) + " is missing");
  if (tensor_traits(static_cast<TensorType>(found->type)) == nullptr) {
    return refuse(ErrorCode::kUnsupported, "tensor " + shown(name) + " has type " +
                                               tensor_type_name(found->type) +
                                               ", which is not supported");
  }
  const auto& shape = found->shape;
  if (shape[0] != columns || shape[1] * shape[2] * shape[3] != rows) {
    return refuse(ErrorCode::kCorrupt, "tensor " + shown(name) + " has the shape " +
                                           dimensions_text(*found) + ", expected [" +
                                           number_text(columns) + ", " + number_text(rows) + "]");
  }
  return Tensor{std::string(name), static_cast<TensorType>(found->type), columns, rows,
                found->data};
}

}  // namespace espalier::runtime
