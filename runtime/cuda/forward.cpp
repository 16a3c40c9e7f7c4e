#include "runtime/cuda/forward.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <set>
#include <utility>

namespace espalier::runtime::cuda {
namespace {

// From so many rows on, embeddings are looked up by all threads.
constexpr std::size_t kRowsToShare = 8;
// Steps of more rows seldom come again with the same counts.
constexpr std::uint32_t kMostRecordedRows = 64;

// Sizes that grow with a text are rounded up, so that most steps look like the one before.
std::uint64_t rounded(std::uint64_t n, std::uint64_t least) {
  return n == 0 ? 0 : std::max(least, std::bit_ceil(n));
}

}  // namespace

Status check_shape(const ModelShape& shape) {
  if (shape.head_width > kMostHeadWidth || shape.head_width % 2 != 0) {
    return fail(ErrorCode::kUnsupported,
                "CUDA: heads " + std::to_string(shape.head_width) +
                    " wide; what this build has kernels for is even and at most " +
                    std::to_string(kMostHeadWidth));
  }
  return {};
}

Forward::Forward(std::shared_ptr<const Model> model, cpu::WorkerPool& workers,
                 std::uint32_t multiprocessors)
    : model_(std::move(model)), workers_(workers), shape_(model_->shape()) {
  AttentionLimits limits;
  limits.multiprocessors = multiprocessors;
  limits.busy_blocks = multiprocessors + multiprocessors / 2;
  for (std::uint32_t l = 0; l < shape_.layers; ++l) {
    std::unique_ptr<View>& to = shape_.is_local(l) ? local_ : global_;
    if (to != nullptr) continue;
    to = shape_.is_local(l)
             ? std::make_unique<View>(shape_, shape_.local_rope, shape_.window, limits)
             : std::make_unique<View>(shape_, shape_.rope, 0, limits);
  }
}

Result<std::unique_ptr<Forward>> Forward::create(std::shared_ptr<const Model> model,
                                                 cpu::WorkerPool& workers,
                                                 std::uint32_t multiprocessors) {
  std::unique_ptr<Forward> forward(new Forward(std::move(model), workers, multiprocessors));
  ESP_ASSIGN(forward->stream_, Stream::create());
  ESP_ASSIGN(forward->weights_, DeviceWeights::load(*forward->model_, workers, forward->stream_));
  return forward;
}

Status Forward::reserve(std::uint32_t rows) {
  std::uint64_t heads = 0;
  std::uint64_t hidden = 0;
  bool post = false;
  for (const DeviceLayer& it : weights_.layers) {
    heads = std::max<std::uint64_t>(heads, it.heads.outputs);
    hidden = std::max<std::uint64_t>(hidden, it.hidden.outputs);
    post = post || it.post_attention_norm != nullptr || it.post_feed_forward_norm != nullptr;
  }
  const std::uint64_t width = shape_.width;
  const std::uint64_t bytes = rows * sizeof(float);
  ESP_TRY(x_.fit(bytes * width, "residual stream"));
  ESP_TRY(heads_.fit(bytes * heads, "queries, keys and values"));
  ESP_TRY(attended_.fit(bytes * shape_.heads * shape_.head_width, "attention"));
  ESP_TRY(hidden_.fit(bytes * hidden, "feed forward"));
  if (post) ESP_TRY(block_.fit(bytes * width, "a block's output"));
  return {};
}

void Forward::embed(const Batch& batch, std::span<float> out) {
  const std::size_t width = shape_.width;
  const auto one = [&](std::size_t m) {
    const std::span<float> x = out.subspan(m * width, width);
    dequantise_row(model_->weights().embedding, static_cast<std::uint64_t>(batch.rows[m].token), x);
    if (shape_.embedding_scale == 1.0F) return;
    for (float& value : x) value = value * shape_.embedding_scale;
  };
  const std::size_t rows = batch.rows.size();
  if (rows < kRowsToShare) {
    for (std::size_t m = 0; m < rows; ++m) one(m);
  } else {
    workers_.for_each(static_cast<std::uint32_t>(rows),
                      [&](std::uint32_t item, unsigned) { one(item); });
  }
}

// Everything of the step that the device must know, in one copy.
Status Forward::prepare(const Batch& batch, std::span<const std::uint32_t> wanted,
                        const Residual& earlier) {
  const auto rows = static_cast<std::uint32_t>(batch.rows.size());
  std::uint32_t positions = 0;
  for (const Row& row : batch.rows) positions = std::max(positions, row.position + 1);
  ESP_TRY(temperatures_.reach(shape_, positions, stream_));
  all_rows_.resize(rows);
  std::iota(all_rows_.begin(), all_rows_.end(), 0U);
  const bool prunes = wanted.size() < rows;
  View& last = view(shape_.layers - 1);
  std::uint64_t parts = 0;
  const auto plan = [&](Planned& planned, std::span<const std::uint32_t> of) {
    planned.plan.plan(batch, of);
    planned.place = input_.add<std::byte>(rounded(planned.plan.bytes(), 4096));
    planned.grid = planned.plan.grid();
    for (std::uint32_t& items : planned.grid.items) {
      items = static_cast<std::uint32_t>(rounded(items, 1));
    }
    key_.push_back(planned.place.offset);
    key_.insert(key_.end(), std::begin(planned.grid.items), std::end(planned.grid.items));
    parts = std::max<std::uint64_t>(parts, planned.plan.parts());
  };
  input_.clear();
  key_.assign({rows, wanted.size(), batch.writes.size(), batch.copies.size(),
               reinterpret_cast<std::uintptr_t>(temperatures_.values())});
  const auto begin = input_.add<float>(std::uint64_t{rows} * shape_.width);
  const auto row_facts = input_.add<DeviceRow>(rows);
  const auto slots = input_.add<DeviceSlot>(batch.writes.size());
  const auto copies = input_.add<DeviceCopy>(batch.copies.size());
  const auto kept = input_.add<std::uint32_t>(wanted.size());
  for (View* view : {global_.get(), local_.get()}) {
    if (view == nullptr) continue;
    ESP_TRY(view->tables.reach(positions, stream_));
    key_.push_back(reinterpret_cast<std::uintptr_t>(view->tables.cosines()));
    plan(view->all, all_rows_);
    if (view == &last && prunes) plan(view->wanted, wanted);
  }
  ESP_TRY(input_.reserve());
  ESP_TRY(parts_.fit(parts * shape_.heads * part_floats(shape_.head_width) * sizeof(float),
                     "parts of attention"));

  const std::span<float> x = input_.host<float>(begin);
  if (earlier.rows == nullptr) {
    embed(batch, x);
  } else {
    for (std::size_t m = 0; m < rows; ++m) {
      std::copy_n(earlier.rows + m * earlier.stride, shape_.width, x.data() + m * shape_.width);
    }
  }
  const std::span<DeviceRow> facts = input_.host<DeviceRow>(row_facts);
  for (std::size_t m = 0; m < rows; ++m) {
    facts[m] = {batch.rows[m].position, batch.rows[m].first_write, batch.rows[m].writes};
  }
  const std::span<DeviceSlot> to = input_.host<DeviceSlot>(slots);
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = {batch.writes[i].page, batch.writes[i].slot};
  const std::span<DeviceCopy> pages = input_.host<DeviceCopy>(copies);
  waves_.clear();
  std::set<PageId> read;
  std::set<PageId> written;
  for (std::uint32_t i = 0; i < pages.size(); ++i) {
    const PageCopy& it = batch.copies[i];
    pages[i] = {it.from, it.to, it.slots};
    const bool follows = written.count(it.from) + written.count(it.to) + read.count(it.to) != 0;
    if (i == 0 || follows) {
      waves_.push_back(i);
      read.clear();
      written.clear();
    }
    read.insert(it.from);
    written.insert(it.to);
  }
  waves_.push_back(static_cast<std::uint32_t>(pages.size()));
  std::copy(wanted.begin(), wanted.end(), input_.host<std::uint32_t>(kept).begin());
  const auto write_plan = [&](const Planned& planned) {
    planned.plan.write_to(input_.host<std::byte>(planned.place).first(planned.plan.bytes()));
  };
  for (View* view : {global_.get(), local_.get()}) {
    if (view == nullptr) continue;
    write_plan(view->all);
    if (view == &last && prunes) {
      write_plan(view->wanted);
    }
  }
  begin_ = input_.device<float>(begin);
  rows_ = input_.device<DeviceRow>(row_facts);
  slots_ = input_.device<DeviceSlot>(slots);
  copies_ = input_.device<DeviceCopy>(copies);
  kept_rows_ = input_.device<std::uint32_t>(kept);
  return input_.send(stream_);
}

Status Forward::run(const Batch& batch, std::span<const std::uint32_t> wanted,
                    const Residual& earlier, const KvView& pool) {
  const auto rows = static_cast<std::uint32_t>(batch.rows.size());
  ESP_TRY(prepare(batch, wanted, earlier));
  for (std::size_t i = 0; i + 1 < waves_.size(); ++i) {
    if (waves_[i] == waves_[i + 1]) continue;
    copy_pages(stream_.get(), waves_[i + 1] - waves_[i], copies_ + waves_[i], pool);
  }
  if (rows == 0) return {};
  const auto count = static_cast<std::uint32_t>(wanted.size());
  if (rows > kMostRecordedRows) return enqueue(rows, count, pool);
  if (moves_ != DeviceMemory::moves()) {
    moves_ = DeviceMemory::moves();
    graphs_.clear();
  }
  return graphs_.run(stream_, key_, [&] { return enqueue(rows, count, pool); });
}

Status Forward::enqueue(std::uint32_t rows, std::uint32_t wanted, const KvView& pool) {
  ESP_TRY(reserve(rows));
  residual_ = begin_;
  for (std::uint32_t l = 0; l < shape_.layers; ++l) ESP_TRY(run_layer(l, rows, wanted, pool));
  return head(0, std::min(wanted, kHeadRows));
}

void Forward::multiply(const MatrixGroup& group, const Activations& x, std::uint32_t rows,
                       float* out, std::size_t stride, bool add) {
  for (const MatrixGroup::Part& part : group.parts) {
    product(stream_.get(), part.matrix, x, rows, out + part.first, stride, add);
  }
}

// The product onto the residual: through `post`, where there is one.
void Forward::add_block(const MatrixGroup& group, const Activations& x, std::uint32_t rows,
                        const float* post) {
  if (post == nullptr) {
    multiply(group, x, rows, residual_, shape_.width, true);
    return;
  }
  multiply(group, x, rows, block_.as<float>(), shape_.width, false);
  add_normed(stream_.get(), rows, block_.as<float>(), shape_.width, post, shape_.width,
             shape_.norm_epsilon, residual_, shape_.width);
}

Status Forward::run_layer(std::uint32_t number, std::uint32_t rows, std::uint32_t wanted,
                          const KvView& pool) {
  const DeviceLayer& it = weights_.layers[number];
  View& view = this->view(number);
  cudaStream_t stream = stream_.get();
  const std::uint32_t width = shape_.width;
  const std::uint32_t query_width = shape_.heads * shape_.head_width;

  ESP_TRY(normal_.fit(rows, width, it.heads));
  rms_norm(stream, rows, residual_, width, nullptr, it.attention_norm, width, shape_.norm_epsilon,
           normal_.view());
  float* queries = heads_.as<float>();
  multiply(it.heads, normal_.view(), rows, queries, it.heads.outputs, false);
  Heads heads;
  heads.queries = queries;
  heads.keys = queries + it.key_first;
  heads.values = queries + it.value_first;
  heads.query_stride = it.heads.outputs;
  heads.key_stride = it.heads.outputs;
  heads.query_bias = it.query_bias;
  heads.key_bias = it.key_bias;
  heads.value_bias = it.value_bias;
  heads.query_norm = it.query_norm;
  heads.key_norm = it.key_norm;
  heads.epsilon = shape_.norm_epsilon;
  heads.heads = shape_.heads;
  heads.pairs = view.tables.pairs();
  heads.adjacent = shape_.rope_pairs == RopePairs::kAdjacent;
  heads.cosines = view.tables.cosines();
  heads.sines = view.tables.sines();
  heads.temperatures = temperatures_.values();
  turn_heads(stream, rows, heads, rows_, slots_, number, pool);

  const Planned* planned = &view.all;
  if (number + 1 == shape_.layers && wanted < rows) {  // the others' K and V were all
    if (wanted == 0) return {};
    planned = &view.wanted;
    gather_rows(stream, wanted, residual_, width, kept_rows_, width, x_.as<float>(), width);
    residual_ = x_.as<float>();
    rows = wanted;
  }
  AttentionCall call;
  call.plan = input_.device<unsigned char>(planned->place);
  call.pool = pool;
  call.layer = number;
  call.heads = shape_.heads;
  call.scale = shape_.query_scale;
  call.queries = queries;
  call.query_stride = it.heads.outputs;
  call.out = attended_.as<float>();
  call.out_stride = query_width;
  call.parts = parts_.as<float>();
  attend(stream, planned->grid, call);

  ESP_TRY(attended_codes_.fit(rows, query_width, it.output));
  set_activations(stream, rows, attended_.as<float>(), query_width, nullptr, query_width,
                  attended_codes_.view());
  add_block(it.output, attended_codes_.view(), rows, it.post_attention_norm);

  ESP_TRY(normal_.fit(rows, width, it.hidden));
  rms_norm(stream, rows, residual_, width, nullptr, it.feed_forward_norm, width,
           shape_.norm_epsilon, normal_.view());
  float* gates = hidden_.as<float>();
  multiply(it.hidden, normal_.view(), rows, gates, it.hidden.outputs, false);
  ESP_TRY(hidden_codes_.fit(rows, shape_.feed_forward, it.down));
  gate(stream, rows, gates, gates + it.up_first, it.hidden.outputs, shape_.feed_forward,
       shape_.activation == Activation::kGeluTanh, hidden_codes_.view());
  add_block(it.down, hidden_codes_.view(), rows, it.post_feed_forward_norm);
  return {};
}

Status Forward::head(std::uint32_t begin, std::uint32_t end) {
  if (begin == end) return {};
  const std::uint32_t rows = end - begin;
  const std::uint32_t width = shape_.width;
  ESP_TRY(head_.fit(rows, width, weights_.head));
  ESP_TRY(logits_.fit(std::uint64_t{rows} * logits_stride() * sizeof(float), "logits"));
  rms_norm(stream_.get(), rows, residual_ + std::size_t{begin} * width, width, nullptr,
           weights_.output_norm, width, shape_.norm_epsilon, head_.view());
  multiply(weights_.head, head_.view(), rows, logits_.as<float>(), logits_stride(), false);
  if (shape_.logit_cap != 0.0F) {
    soft_cap(stream_.get(), rows, logits_.as<float>(), logits_stride(), shape_.vocabulary,
             shape_.logit_cap);
  }
  return {};
}

Result<const float*> Forward::logits(std::uint32_t begin, std::uint32_t end) {
  if (begin > 0) ESP_TRY(head(begin, end));
  return logits_.as<float>();
}

}  // namespace espalier::runtime::cuda
