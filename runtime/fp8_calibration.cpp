#include "runtime/fp8_calibration.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <span>

#include "runtime/store/sha256.h"

namespace espalier::runtime {
namespace {

constexpr std::string_view kFirst = "espalier fp8 calibration 1";
constexpr std::string_view kSeal = "sha256 ";
constexpr std::uint64_t kMostBytes = std::uint64_t{4} << 20;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string digest(std::string_view text) {
  Sha256 hash;
  hash.update(bytes_of(text));
  return hash.finish();
}

// The shortest text that reads as the same number.
std::string number(double value) {
  char out[32];
  return {out, std::to_chars(out, out + sizeof out, value).ptr};
}

template <class T>
bool read_number(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

// What follows `label` and a space, where `line` is that.
bool labelled(std::string_view line, std::string_view label, std::string_view& rest) {
  if (!line.starts_with(label) || line.size() <= label.size() || line[label.size()] != ' ') {
    return false;
  }
  rest = line.substr(label.size() + 1);
  return true;
}

}  // namespace

std::string model_key(const Model& model) {
  constexpr std::size_t kSome = 4096;
  Sha256 hash;
  const auto add = [&](const Tensor& tensor) {
    if (tensor.data.empty()) return;
    const std::string what = tensor.name + " " + std::to_string(static_cast<int>(tensor.type)) +
                             " " + std::to_string(tensor.columns) + " " +
                             std::to_string(tensor.rows) + "\n";
    hash.update(bytes_of(what));
    const std::size_t some = std::min(kSome, tensor.data.size());
    hash.update(tensor.data.first(some));
    hash.update(tensor.data.last(some));
  };
  const ModelWeights& weights = model.weights();
  add(weights.embedding);
  for (const LayerWeights& it : weights.layers) {
    for (const Tensor* tensor :
         {&it.attention_norm, &it.query, &it.key, &it.value, &it.attention_output,
          &it.feed_forward_norm, &it.gate, &it.up, &it.down}) {
      add(*tensor);
    }
  }
  add(weights.output_norm);
  add(weights.output);
  return hash.finish();
}

Fp8Products Fp8Calibration::products() const {
  std::vector<std::array<bool, kLayerProducts.size()>> kept(errors.size());
  for (std::size_t l = 0; l < kept.size(); ++l) {
    for (const LayerProducts products : kLayerProducts) {
      kept[l][static_cast<std::size_t>(products)] = keeps(l, products);
    }
  }
  return Fp8Products(std::move(kept));
}

Fp8Products products_of(const std::shared_ptr<const Fp8Calibration>& calibration) {
  return calibration == nullptr ? Fp8Products() : calibration->products();
}

std::string name_of(const std::shared_ptr<const Fp8Calibration>& calibration) {
  return calibration == nullptr ? std::string() : calibration->name();
}

Fp8Calibration::Counts Fp8Calibration::counts() const {
  Counts out;
  for (std::size_t l = 0; l < errors.size(); ++l) {
    for (const LayerProducts products : kLayerProducts) {
      if (errors[l][static_cast<std::size_t>(products)] == 0.0) continue;
      ++out.all;
      out.kept += keeps(l, products) ? 1U : 0U;
    }
  }
  return out;
}

Status Fp8Calibration::check(const Model& of) const {
  if (errors.size() == of.shape().layers && model == model_key(of)) return {};
  return fail(ErrorCode::kInvalid,
              "the calibration was measured on another model than '" + of.path() + "'");
}

std::string Fp8Calibration::text() const {
  std::string out = std::string(kFirst) + "\nmodel " + model + "\ntokens " +
                    std::to_string(tokens) + "\nbound " + number(bound) + "\nlayers " +
                    std::to_string(errors.size()) + "\n";
  for (std::size_t l = 0; l < errors.size(); ++l) {
    for (const LayerProducts products : kLayerProducts) {
      out += std::to_string(l) + " " + layer_products_name(products) + " " +
             number(errors[l][static_cast<std::size_t>(products)]) + "\n";
    }
  }
  return out + std::string(kSeal) + digest(out) + "\n";
}

std::string Fp8Calibration::name() const { return digest(text()).substr(0, 16); }

Result<Fp8Calibration> Fp8Calibration::parse(std::string_view text, const std::string& path) {
  const auto refused = [&path](const std::string& why) {
    return fail(ErrorCode::kInvalid, "'" + path + "' is no calibration for fp8: " + why);
  };
  constexpr std::size_t kDigits = 64;
  const std::size_t seal_size = kSeal.size() + kDigits + 1;
  if (!text.starts_with(kFirst)) {
    return refused("it does not begin with '" + std::string(kFirst) + "'");
  }
  if (text.size() < seal_size) return refused("it ends too soon");
  const std::string_view body = text.substr(0, text.size() - seal_size);
  if (text.substr(body.size()) != std::string(kSeal) + digest(body) + "\n") {
    return refused("it is damaged, for its SHA-256 is another than its last line says");
  }
  // Whole from here on, so what cannot be read is of another version.
  const auto other = [&] { return refused("its lines are of another version"); };
  std::string_view rest = body;
  const auto line = [&rest] {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view out = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return out;
  };
  Fp8Calibration out;
  std::string_view value;
  std::size_t layers = 0;
  if (line() != kFirst) return other();
  if (!labelled(line(), "model", value)) return other();
  out.model = value;
  if (!labelled(line(), "tokens", value) || !read_number(value, out.tokens)) return other();
  if (!labelled(line(), "bound", value) || !read_number(value, out.bound)) return other();
  if (!labelled(line(), "layers", value) || !read_number(value, layers)) return other();
  if (layers > text.size()) return other();
  out.errors.resize(layers);
  for (std::size_t l = 0; l < layers; ++l) {
    for (const LayerProducts products : kLayerProducts) {
      double& error = out.errors[l][static_cast<std::size_t>(products)];
      if (!labelled(line(), std::to_string(l) + " " + layer_products_name(products), value) ||
          !read_number(value, error)) {
        return other();
      }
    }
  }
  if (!rest.empty()) return other();
  return out;
}

Result<Fp8Calibration> Fp8Calibration::read(const std::string& path, System& system) {
  ESP_ASSIGN(const std::string text, system.read(path, kMostBytes));
  return parse(text, path);
}

}  // namespace espalier::runtime
