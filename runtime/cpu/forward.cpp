#include "runtime/cpu/forward.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <utility>

#include "runtime/model/model_part.h"

namespace espalier::runtime::cpu {
namespace {

// From so many rows on, per-row stages are dealt out.
constexpr std::size_t kRowsToShare = 8;
constexpr std::size_t kPanelsMade = 4;  // at a time, by a thread
// Panels are made from so much of the file at a time, which is then given back.
constexpr std::size_t kLoadBytes = std::size_t{4} << 20;
// Items a thread takes of a loop: more balance better, fewer cost less.
constexpr std::size_t kItemsPerThread = 8;

// A vector of the file, where it has it.
std::vector<float> floats(const Tensor& tensor) {
  if (tensor.data.empty()) return {};
  std::vector<float> out(tensor.columns);
  dequantise_row(tensor, 0, out);
  return out;
}

void fit(std::vector<float>& vector, std::size_t size) {
  if (vector.size() < size) vector.resize(size);
}

}  // namespace

Forward::Forward(std::shared_ptr<const Model> model, const Kernels& kernels, WorkerPool& workers)
    : model_(std::move(model)),
      kernels_(kernels),
      workers_(workers),
      shape_(model_->shape()),
      width_stride_(round_up(shape_.width, kLanes)),
      query_stride_(round_up(std::size_t{shape_.heads} * shape_.head_width, kLanes)),
      key_stride_(round_up(std::size_t{shape_.kv_heads} * shape_.head_width, kLanes)),
      scratch_(workers.threads()) {
  const auto make = [&](std::unique_ptr<View>& to, const Rope& rope, std::uint32_t window) {
    if (to != nullptr) return;
    to = std::make_unique<View>(View{Attention(shape_, window, kernels, workers, tuning_),
                                     RopeTable(rope, shape_.rope_width),
                                     {},
                                     {}});
  };
  for (std::uint32_t l = 0; l < shape_.layers; ++l) {
    if (shape_.is_local(l)) {
      make(local_, shape_.local_rope, shape_.window);
    } else {
      make(global_, shape_.rope, 0);
    }
  }
  for (Scratch& scratch : scratch_) scratch.row.resize(width_stride_);
  set_tuning({});
}

void Forward::set_tuning(const Tuning& tuning) {
  ESP_CHECK(tuning.valid());
  tuning_ = tuning;
  for (Scratch& scratch : scratch_) {
    scratch.gate.resize(tuning.feed_forward_tile * kBlock);
    scratch.up.resize(tuning.feed_forward_tile * kBlock);
  }
}

Result<std::unique_ptr<Forward>> Forward::create(std::shared_ptr<const Model> model,
                                                 const Kernels& kernels, WorkerPool& workers) {
  std::unique_ptr<Forward> forward(new Forward(std::move(model), kernels, workers));
  ESP_TRY(forward->load());
  return forward;
}

Status Forward::load() {
  const ModelWeights& weights = model_->weights();
  std::uint64_t bytes = 0;
  const auto room = [&bytes](const Tensor& tensor) {
    bytes += round_up(Matrix::panel_bytes(tensor), 64);
  };
  for (const LayerWeights& it : weights.layers) {
    for (const Tensor* tensor :
         {&it.query, &it.key, &it.value, &it.attention_output, &it.gate, &it.up, &it.down}) {
      room(*tensor);
    }
  }
  if (has_head(*model_)) room(weights.output);
  ESP_ASSIGN(memory_, Memory::reserve(bytes, Memory::Use::kDense, "weights"));

  std::byte* next = memory_.data();
  const auto place = [&](Matrix& matrix, const Tensor& tensor) {
    matrix = Matrix(tensor, next);
    next += round_up(Matrix::panel_bytes(tensor), 64);
    make_panels(matrix);
  };
  for (const LayerWeights& it : weights.layers) {
    Layer& layer = layers_.emplace_back();
    layer.local = shape_.is_local(static_cast<std::uint32_t>(layers_.size() - 1));
    layer.attention_norm = floats(it.attention_norm);
    layer.feed_forward_norm = floats(it.feed_forward_norm);
    layer.query_bias = floats(it.query_bias);
    layer.key_bias = floats(it.key_bias);
    layer.value_bias = floats(it.value_bias);
    layer.query_norm = floats(it.query_norm);
    layer.key_norm = floats(it.key_norm);
    layer.post_attention_norm = floats(it.post_attention_norm);
    layer.post_feed_forward_norm = floats(it.post_feed_forward_norm);
    place(layer.query, it.query);
    place(layer.key, it.key);
    place(layer.value, it.value);
    place(layer.attention_output, it.attention_output);
    place(layer.gate, it.gate);
    place(layer.up, it.up);
    place(layer.down, it.down);
  }
  output_norm_ = floats(weights.output_norm);
  if (has_head(*model_)) place(output_, weights.output);
  return {};
}

void Forward::make_panels(Matrix& matrix) {
  if (!matrix.quantised()) return;
  const std::size_t panel_source = matrix.source(0, 1).size();
  const std::size_t slice =
      std::max<std::size_t>(1, kLoadBytes / std::max<std::size_t>(1, panel_source));
  for (std::size_t begin = 0; begin < matrix.panels(); begin += slice) {
    const std::size_t end = std::min(begin + slice, matrix.panels());
    workers_.for_each(static_cast<std::uint32_t>((end - begin + kPanelsMade - 1) / kPanelsMade),
                      [&](std::uint32_t item, unsigned) {
                        const std::size_t first = begin + item * kPanelsMade;
                        matrix.make_panels(first, std::min(first + kPanelsMade, end));
                      });
    model_->discard(matrix.source(begin, end));
  }
}

template <class F>
void Forward::each_row(std::size_t rows, F&& f) {
  if (rows < kRowsToShare || workers_.threads() == 1) {
    for (std::size_t m = 0; m < rows; ++m) f(m, 0U);
    return;
  }
  constexpr std::size_t kRows = 4;
  workers_.for_each(static_cast<std::uint32_t>((rows + kRows - 1) / kRows),
                    [&](std::uint32_t item, unsigned thread) {
                      const std::size_t end = std::min<std::size_t>((item + 1) * kRows, rows);
                      for (std::size_t m = item * kRows; m < end; ++m) f(m, thread);
                    });
}

void Forward::normalise(std::size_t rows, const std::vector<float>& weight, Activations& out) {
  each_row(rows, [&](std::size_t m, unsigned thread) {
    float* row = out.has_floats() ? out.row(m) : scratch_[thread].row.data();
    kernels_.rms_norm(x_.data() + m * width_stride_, weight.data(), shape_.width,
                      shape_.norm_epsilon, row);
    out.set(kernels_, m, row);
  });
}

void Forward::multiply(std::span<const Product> products, const Activations& x, std::size_t rows) {
  std::size_t panels = 0;
  for (const Product& product : products) panels += product.matrix->panels();
  const std::size_t tile = tuning_.row_tile;
  const std::size_t chunk = std::max<std::size_t>(
      1, std::min<std::size_t>(rows > tile ? tuning_.chunk_panels : SIZE_MAX,
                               panels / (kItemsPerThread * workers_.threads())));
  // Chunks do not cross from one matrix to the next: number them by matrix.
  std::uint32_t items = 0;
  for (const Product& product : products) {
    items += static_cast<std::uint32_t>((product.matrix->panels() + chunk - 1) / chunk);
  }
  workers_.for_each(items, [&](std::uint32_t item, unsigned) {
    std::size_t index = item;
    const Product* product = products.data();
    while (true) {
      const std::size_t chunks = (product->matrix->panels() + chunk - 1) / chunk;
      if (index < chunks) break;
      index -= chunks;
      ++product;
    }
    const std::size_t begin = index * chunk;
    const std::size_t end = std::min(begin + chunk, product->matrix->panels());
    for (std::size_t m = 0; m < rows; m += tile) {
      product->matrix->product(kernels_, x, m, std::min(tile, rows - m), begin, end,
                               product->out + m * product->stride + begin * kPanelRows,
                               product->stride, product->add);
    }
  });
}

void Forward::turn(float* heads, std::size_t count, const std::vector<float>& bias,
                   const std::vector<float>& norm, const float* cosines, const float* sines) const {
  const std::size_t width = shape_.head_width;
  for (std::size_t i = 0; i < bias.size(); ++i) heads[i] += bias[i];
  const auto rotate =
      shape_.rope_pairs == RopePairs::kAdjacent ? kernels_.rotate : kernels_.rotate_halves;
  for (std::size_t h = 0; h < count; ++h, heads += width) {
    if (!norm.empty()) {
      kernels_.rms_norm(heads, norm.data(), width, shape_.norm_epsilon, heads);
    }
    rotate(heads, cosines, sines, shape_.rope_width / 2);
  }
}

void Forward::write_keys(const Batch& batch, std::size_t l, const View& view, KvPool& pool) {
  const Layer& layer = layers_[l];
  const std::size_t pairs = view.rope.pairs();
  each_row(batch.rows.size(), [&](std::size_t m, unsigned thread) {
    const Row& row = batch.rows[m];
    const float* cosines = view.cosines.data() + m * pairs;
    const float* sines = view.sines.data() + m * pairs;
    float* query = queries_.data() + m * query_stride_;
    turn(query, shape_.heads, layer.query_bias, layer.query_norm, cosines, sines);
    if (shape_.temperature != 0.0F) {
      kernels_.scale(query, query_temperature(shape_, row.position),
                     std::size_t{shape_.heads} * shape_.head_width, query);
    }
    if (row.writes == 0) return;
    float* key = keys_.data() + m * key_stride_;
    turn(key, shape_.kv_heads, layer.key_bias, layer.key_norm, cosines, sines);
    float* value = values_.data() + m * key_stride_;
    for (std::size_t i = 0; i < layer.value_bias.size(); ++i) value[i] += layer.value_bias[i];
    KvRow& kept = scratch_[thread].kept;
    pool.encode(kernels_, key, value, kept);
    for (std::uint32_t w = 0; w < row.writes; ++w) {
      pool.write(batch.writes[row.first_write + w], l, kept);
    }
  });
}

// Items of 32 hidden columns: two panels of gate and of up, their activation, and one quantised
// block.
void Forward::feed_forward(const Layer& layer, std::size_t rows) {
  const std::size_t columns = layer.gate.rows();
  const std::size_t tile = tuning_.feed_forward_tile;
  const auto activate = shape_.activation == Activation::kSilu ? kernels_.swiglu : kernels_.geglu;
  const auto items = static_cast<std::uint32_t>((columns + kBlock - 1) / kBlock);
  workers_.for_each(items, [&](std::uint32_t item, unsigned thread) {
    Scratch& scratch = scratch_[thread];
    const std::size_t begin = item * (kBlock / kPanelRows);
    const std::size_t end = std::min(begin + kBlock / kPanelRows, layer.gate.panels());
    const std::size_t width = std::min(kBlock, columns - item * kBlock);
    for (std::size_t m = 0; m < rows; m += tile) {
      const std::size_t count = std::min(tile, rows - m);
      layer.gate.product(kernels_, normal_, m, count, begin, end, scratch.gate.data(), kBlock,
                         false);
      layer.up.product(kernels_, normal_, m, count, begin, end, scratch.up.data(), kBlock, false);
      for (std::size_t i = 0; i < count; ++i) {
        float* gate = scratch.gate.data() + i * kBlock;
        activate(gate, scratch.up.data() + i * kBlock, width, gate);
        if (hidden_.has_floats()) {
          std::memcpy(hidden_.row(m + i) + item * kBlock, gate, width * sizeof(float));
        } else {
          kernels_.quantise(gate, 1, hidden_.quantised(), m + i, item);
        }
      }
    }
  });
}

void Forward::add_block(const Matrix& matrix, const Activations& x, std::size_t rows,
                        const std::vector<float>& post) {
  if (post.empty()) {
    multiply(std::array{Product{&matrix, x_.data(), width_stride_, true}}, x, rows);
    return;
  }
  fit(block_, rows * width_stride_);
  multiply(std::array{Product{&matrix, block_.data(), width_stride_, false}}, x, rows);
  each_row(rows, [&](std::size_t m, unsigned) {
    float* from = block_.data() + m * width_stride_;
    float* to = x_.data() + m * width_stride_;
    kernels_.rms_norm(from, post.data(), shape_.width, shape_.norm_epsilon, from);
    for (std::size_t i = 0; i < shape_.width; ++i) to[i] += from[i];
  });
}

// Plans the attention of some rows: of all layers, or of one alone.
void Forward::plan(const Batch& batch, std::span<const std::uint32_t> rows, KvType type,
                   const Layer* only) {
  for (View* view : {global_.get(), local_.get()}) {
    if (view == nullptr || (only != nullptr && view != &this->view(*only))) continue;
    view->attention.plan(batch, rows, type);
  }
}

void Forward::run(const Batch& batch, std::span<const std::uint32_t> wanted, KvPool& pool) {
  const std::size_t rows = batch.rows.size();
  fit(x_, rows * width_stride_);
  fit(queries_, rows * query_stride_);
  fit(keys_, rows * key_stride_);
  fit(values_, rows * key_stride_);
  fit(attended_, rows * query_stride_);
  for (Scratch& scratch : scratch_) pool.reserve(scratch.kept);
  for (View* view : {global_.get(), local_.get()}) {
    if (view == nullptr) continue;
    fit(view->cosines, rows * view->rope.pairs());
    fit(view->sines, rows * view->rope.pairs());
  }
  each_row(rows, [&](std::size_t m, unsigned) {
    const Row& row = batch.rows[m];
    float* x = x_.data() + m * width_stride_;
    dequantise_row(model_->weights().embedding, static_cast<std::uint64_t>(row.token),
                   {x, shape_.width});
    if (shape_.embedding_scale != 1.0F) {
      kernels_.scale(x, shape_.embedding_scale, shape_.width, x);
    }
    for (View* view : {global_.get(), local_.get()}) {
      if (view == nullptr) continue;
      const std::size_t at = m * view->rope.pairs();
      view->rope.fill(row.position, view->cosines.data() + at, view->sines.data() + at);
    }
  });
  all_rows_.resize(rows);
  std::iota(all_rows_.begin(), all_rows_.end(), 0U);
  kept_.assign(wanted.begin(), wanted.end());
  plan(batch, all_rows_, pool.type(), nullptr);

  std::size_t live = rows;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    normal_.reshape(rows, shape_.width, {&layer.query, &layer.key, &layer.value});
    normalise(rows, layer.attention_norm, normal_);
    show(l, LayerProducts::kHeads, normal_, rows);
    multiply(std::array{Product{&layer.query, queries_.data(), query_stride_, false},
                        Product{&layer.key, keys_.data(), key_stride_, false},
                        Product{&layer.value, values_.data(), key_stride_, false}},
             normal_, rows);
    write_keys(batch, l, view(layer), pool);
    if (l + 1 == layers_.size() && kept_.size() < rows && has_head(*model_)) {
      live = kept_.size();
      if (live == 0) return;
      plan(batch, kept_, pool.type(), &layer);
    }
    view(layer).attention.run(pool, l, queries_.data(), query_stride_, attended_.data(),
                              query_stride_);
    if (live < rows) {  // the wanted rows move together
      for (std::size_t i = 0; i < live; ++i) {
        std::memmove(x_.data() + i * width_stride_, x_.data() + kept_[i] * width_stride_,
                     shape_.width * sizeof(float));
        std::memmove(attended_.data() + i * query_stride_,
                     attended_.data() + kept_[i] * query_stride_, query_stride_ * sizeof(float));
      }
    }
    attended_codes_.reshape(live, std::size_t{shape_.heads} * shape_.head_width,
                            {&layer.attention_output});
    each_row(live, [&](std::size_t m, unsigned) {
      attended_codes_.set(kernels_, m, attended_.data() + m * query_stride_);
    });
    show(l, LayerProducts::kOutput, attended_codes_, live);
    add_block(layer.attention_output, attended_codes_, live, layer.post_attention_norm);

    normal_.reshape(live, shape_.width, {&layer.gate, &layer.up});
    normalise(live, layer.feed_forward_norm, normal_);
    show(l, LayerProducts::kHidden, normal_, live);
    hidden_.reshape(live, shape_.feed_forward, {&layer.down});
    feed_forward(layer, live);
    show(l, LayerProducts::kDown, hidden_, live);
    add_block(layer.down, hidden_, live, layer.post_feed_forward_norm);
  }
}

std::size_t Forward::logits_stride() const { return output_.panels() * kPanelRows; }

void Forward::logits(std::span<const HeadRow> rows, float* out) {
  head_.reshape(rows.size(), shape_.width, {&output_});
  each_row(rows.size(), [&](std::size_t i, unsigned thread) {
    const auto at = std::lower_bound(kept_.begin(), kept_.end(), rows[i].row) - kept_.begin();
    float* row = head_.has_floats() ? head_.row(i) : scratch_[thread].row.data();
    kernels_.rms_norm(x_.data() + static_cast<std::size_t>(at) * width_stride_, output_norm_.data(),
                      shape_.width, shape_.norm_epsilon, row);
    head_.set(kernels_, i, row);
  });
  const auto wants = [](const HeadRow& row, std::size_t panel) {
    if (row.all) return true;
    const std::size_t word = panel * kPanelRows / 64;
    const std::size_t shift = panel * kPanelRows % 64;
    return std::any_of(row.masks.begin(), row.masks.end(), [&](const grammar::Mask* mask) {
      return word < mask->words().size() && ((mask->words()[word] >> shift) & 0xFFFFU) != 0;
    });
  };
  panels_.clear();
  for (std::uint32_t p = 0; p < output_.panels(); ++p) {
    if (std::any_of(rows.begin(), rows.end(), [&](const HeadRow& row) { return wants(row, p); })) {
      panels_.push_back(p);
    }
  }
  const std::size_t chunk = std::max<std::size_t>(
      1, std::min<std::size_t>(64, panels_.size() / (kItemsPerThread * workers_.threads())));
  const auto items = static_cast<std::uint32_t>((panels_.size() + chunk - 1) / chunk);
  workers_.for_each(items, [&](std::uint32_t item, unsigned) {
    const std::size_t end = std::min((item + 1) * chunk, panels_.size());
    for (std::size_t k = item * chunk; k < end; ++k) {
      const std::size_t p = panels_[k];
      for (std::size_t first = 0; first < rows.size();) {
        if (!wants(rows[first], p)) {
          ++first;
          continue;
        }
        std::size_t last = first + 1;
        while (last < rows.size() && wants(rows[last], p)) ++last;
        float* to = out + first * logits_stride() + p * kPanelRows;
        output_.product(kernels_, head_, first, last - first, p, p + 1, to, logits_stride(), false);
        if (shape_.logit_cap != 0.0F) {
          for (std::size_t m = first; m < last; ++m, to += logits_stride()) {
            kernels_.soft_cap(to, shape_.logit_cap, kPanelRows);
          }
        }
        first = last;
      }
    }
  });
}

}  // namespace espalier::runtime::cpu
