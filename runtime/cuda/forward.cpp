#include "runtime/cuda/forward.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <set>
#include <utility>

#include "runtime/cuda/embed.h"
#include "runtime/cuda/panels.h"

namespace espalier::runtime::cuda {
namespace {

// From so many rows on, embeddings are looked up by all threads.
constexpr std::size_t kRowsToShare = 8;
// Steps of more rows seldom come again with the same counts.
constexpr std::uint32_t kMostRecordedRows = 64;

std::uint32_t panel_count(const MatrixGroup& head) {
  return (head.outputs + kPanelRows - 1) / kPanelRows;
}

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

Forward::Forward(std::shared_ptr<const Model> model, const Shares& shares, cpu::WorkerPool& workers,
                 std::uint32_t multiprocessors)
    : model_(std::move(model)),
      workers_(workers),
      shape_(model_->shape()),
      shares_(shares),
      multiprocessors_(multiprocessors),
      query_width_(shares.queries.back()),
      hidden_width_(shares.feed_forward.back()),
      logits_stride_((shape_.vocabulary + kPanelRows - 1) / kPanelRows * kPanelRows) {
  for (std::uint32_t l = 0; l < shape_.layers; ++l) {
    std::unique_ptr<View>& to = shape_.is_local(l) ? local_ : global_;
    if (to != nullptr) continue;
    to = shape_.is_local(l) ? std::make_unique<View>(shape_, shape_.local_rope, shape_.window)
                            : std::make_unique<View>(shape_, shape_.rope, 0);
  }
}

Result<std::unique_ptr<Forward>> Forward::create(std::shared_ptr<const Model> model,
                                                 const Shares& shares, cpu::WorkerPool& workers,
                                                 std::uint32_t multiprocessors, KvType kv_type,
                                                 const LowPrecision& low) {
  ESP_CHECK(shares.ranks() <= kMostRanks);
  std::unique_ptr<Forward> forward(new Forward(std::move(model), shares, workers, multiprocessors));
  ESP_ASSIGN(forward->stream_, Stream::create());
  ESP_ASSIGN(forward->copies_beside_, SideCopies::create());
  ESP_ASSIGN(forward->weights_,
             DeviceWeights::load(*forward->model_, workers, forward->stream_, low.fp8));
  forward->numerics_ = low.numerics();
  if (low.tensor == nullptr && shares.ranks() == 1) {
    ESP_ASSIGN(forward->together_,
               LayersTogether::create(forward->weights_, forward->shape_, kv_type, multiprocessors,
                                      forward->stream_));
  }
  if (low.tensor != nullptr) {
    ESP_ASSIGN(forward->tensor_, TensorProducts::create(*low.tensor));
    forward->tensor_attention_ = tensor_cores_attend(kv_type, forward->shape_.head_width);
  }
  return forward;
}

Status Forward::hold_embedding(std::uint64_t most_bytes) {
  if (looks_up()) return {};
  if (device_bytes(model_->weights().embedding) > most_bytes) return {};
  return weights_.load_embedding(*model_, workers_, stream_);
}

void Forward::set_tuning(const Tuning& tuning) {
  ESP_CHECK(tuning.valid());
  tuning_ = tuning;
  graphs_.clear();  // they were recorded with others
}

bool Forward::on_tensor_cores(const MatrixGroup& group, std::uint32_t rows) const {
  return tensor_ != nullptr && rows >= kLeastTensorRows && group.in_sixteen_bits();
}

// Room for what a product of so many rows reads.
Status Forward::fit(ActivationRoom& room, std::uint32_t rows, std::uint32_t columns,
                    const MatrixGroup& reader) const {
  if (!on_tensor_cores(reader, rows)) return room.fit(rows, columns, reader);
  return room.fit_strips(rows, columns, reader.parts[0].matrix.format);
}

// The same for all steps of up to so many rows.
Status Forward::reserve(ActivationRoom& room, std::uint32_t rows, std::uint32_t columns,
                        const MatrixGroup& reader) const {
  if (on_tensor_cores(reader, rows)) ESP_TRY(fit(room, kLeastTensorRows - 1, columns, reader));
  return fit(room, rows, columns, reader);
}

// All scratch of a step, so that nothing is allocated while one runs.
Status Forward::reserve(std::uint32_t rows, std::uint32_t head_rows) {
  if (rows <= reserved_rows_ && head_rows <= reserved_head_rows_) return {};
  rows = std::max(rows, reserved_rows_);
  head_rows = std::max(head_rows, reserved_head_rows_);
  // What grows is given back first: where one lacks memory, others may be gone.
  reserved_rows_ = reserved_head_rows_ = 0;
  std::uint64_t heads = 0;
  std::uint64_t hidden = 0;
  bool post = false;
  const std::uint64_t width = shape_.width;
  for (const DeviceLayer& it : weights_.layers) {
    heads = std::max<std::uint64_t>(heads, it.heads.outputs);
    hidden = std::max<std::uint64_t>(hidden, it.hidden.outputs);
    post = post || it.post_attention_norm != nullptr || it.post_feed_forward_norm != nullptr;
    // Sums of codes are scaled on their way onto the residual.
    post = post || (rows >= kLeastE4m3Rows && (it.output.e4m3 || it.down.e4m3));
    ESP_TRY(reserve(normal_, rows, shape_.width, it.heads));
    ESP_TRY(reserve(normal_, rows, shape_.width, it.hidden));
    ESP_TRY(reserve(attended_codes_, rows, query_width_, it.output));
    ESP_TRY(reserve(hidden_codes_, rows, hidden_width_, it.down));
  }
  const std::uint64_t bytes = rows * sizeof(float);
  ESP_TRY(x_.fit(bytes * width, "residual stream"));
  if (links_.along != nullptr || looks_up()) {
    ESP_TRY(received_.fit(bytes * width, "residual stream"));
  }
  ESP_TRY(heads_.fit(bytes * heads, "queries, keys and values"));
  ESP_TRY(attended_.fit(bytes * query_width_, "attention"));
  ESP_TRY(hidden_.fit(bytes * hidden, "feed forward"));
  if (post) ESP_TRY(block_.fit(bytes * width, "a block's output"));
  std::uint64_t exchanged = rows * std::max<std::uint64_t>({query_width_, hidden_width_, width});
  if (head_rows != 0) {
    // Also where all rows leave out the same panels, which are floats.
    ESP_TRY(head_.fit(head_rows, shape_.width, weights_.head));
    ESP_TRY(fit(head_, head_rows, shape_.width, weights_.head));
    ESP_TRY(logits_.fit(std::uint64_t{head_rows} * logits_stride_ * sizeof(float), "logits"));
    exchanged = std::max<std::uint64_t>(exchanged, std::uint64_t{head_rows} * shape_.vocabulary);
  }
  if (is_shared()) {
    ESP_TRY(gated_.fit(bytes * hidden_width_, "feed forward"));
    ESP_TRY(exchange_.fit(exchanged * sizeof(float), "columns of other devices"));
  }
  reserved_rows_ = rows;
  reserved_head_rows_ = head_rows;
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

// The panels of this rank's outputs with a token of `tokens`, as a bitset; false where leaving the
// others out saves little.
bool Forward::plan_head(const std::vector<std::uint64_t>& tokens, std::uint32_t rows,
                        std::span<std::uint32_t> panels) const {
  if (tokens.empty()) return false;
  const std::uint32_t rank = is_shared() ? links_.across->rank() : 0;
  const std::uint32_t first = shares_.vocabulary[rank];
  const std::uint32_t count = panel_count(weights_.head);
  std::fill(panels.begin(), panels.end(), 0U);
  std::uint32_t wanted = 0;
  for (std::uint32_t p = 0; p < count; ++p) {
    // Ranks have whole panels, so one lies in one word.
    const std::uint32_t token = first + p * kPanelRows;
    if (token / 64 >= tokens.size()) break;
    if ((tokens[token / 64] >> token % 64 & 0xFFFFU) == 0) continue;
    panels[p / 32] |= 1U << p % 32;
    ++wanted;
  }
  // On tensor cores all panels take the time of reading them, whatever the number of rows; the rest
  // of them, in fp32, takes it by some two rows (docs/measurements/cuda-h200.md).
  constexpr std::uint64_t kRowsOfARead = 2;
  if (on_tensor_cores(weights_.head, rows) && wanted * std::uint64_t{rows} >= kRowsOfARead * count)
    return false;
  return std::uint64_t{wanted} * 16 < std::uint64_t{count} * tuning_.of(rows).most_of_head;
}

// Everything of the step's first half that the device must know, in one copy.
Status Forward::prepare(const Batch& batch, std::span<const std::uint32_t> wanted,
                        const Residual& earlier, const Links& links, const ChosenTokens& chosen) {
  const auto rows = static_cast<std::uint32_t>(batch.rows.size());
  links_ = links;
  if (!has_head(*model_)) wanted = {};
  count_ = rows;
  wanted_ = static_cast<std::uint32_t>(wanted.size());
  ESP_TRY(reserve(rows, std::min(wanted_, kHeadRows)));
  std::uint32_t positions = 0;
  for (const Row& row : batch.rows) positions = std::max(positions, row.position + 1);
  ESP_TRY(temperatures_.reach(shape_, positions, stream_));
  all_rows_.resize(rows);
  std::iota(all_rows_.begin(), all_rows_.end(), 0U);
  const bool prunes = wanted.size() < rows && has_head(*model_);
  const bool begins = links.along == nullptr || links.along->rank() == 0;
  const bool alone = links.across == nullptr && links.along == nullptr && earlier.rows == nullptr;
  blocks_ = alone ? together_.blocks(rows, tuning_.of(rows).one_kernel) : 0;
  View& last = view(shape_.layers - 1);
  std::uint64_t parts = 0;
  const auto plan = [&](Planned& planned, std::span<const std::uint32_t> of) {
    const auto count = static_cast<std::uint32_t>(of.size());
    AttentionLimits limits = tuning_.of(count).attention(multiprocessors_);
    limits.tensor_cores = tensor_attention_;
    if (blocks_ > 0) limits.most_queries = kOneKernelQueries;
    planned.plan.set_limits(limits);
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
  const bool by_ids = begins && earlier.rows == nullptr && looks_up();
  chosen_ = chosen.choices;
  key_.assign({blocks_, rows, wanted.size(), batch.writes.size(), batch.copies.size(),
               by_ids ? 1U : 0U, reinterpret_cast<std::uintptr_t>(chosen_),
               reinterpret_cast<std::uintptr_t>(temperatures_.values())});
  const auto ids = input_.add<std::uint32_t>(by_ids ? rows : 0);
  const bool uploads = begins && !by_ids;
  const auto begin = input_.add<float>(uploads ? std::uint64_t{rows} * shape_.width : 0);
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
  panels_.clear();
  panels_at_.clear();
  for (std::uint32_t i = 0; i < wanted_; i += kHeadRows) {
    panels_at_.push_back(panels_.add<std::uint32_t>((panel_count(weights_.head) + 31) / 32));
  }
  head_panels_.assign(panels_at_.size(), nullptr);
  ESP_TRY(panels_.reserve());
  ESP_TRY(parts_.fit(parts * shape_.heads * part_floats(shape_.head_width) * sizeof(float),
                     "parts of attention"));

  const std::span<float> x = input_.host<float>(begin);
  if (by_ids) {
    const std::span<std::uint32_t> to = input_.host<std::uint32_t>(ids);
    for (std::size_t m = 0; m < rows; ++m) {
      to[m] = chosen.ids.empty() ? static_cast<std::uint32_t>(batch.rows[m].token) : chosen.ids[m];
    }
  } else if (!begins) {
    // The stage before sends it.
  } else if (earlier.rows == nullptr) {
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
  begin_ = uploads ? input_.device<float>(begin) : received_.as<float>();
  ids_ = by_ids ? input_.device<std::uint32_t>(ids) : nullptr;
  rows_ = input_.device<DeviceRow>(row_facts);
  slots_ = input_.device<DeviceSlot>(slots);
  copies_ = input_.device<DeviceCopy>(copies);
  kept_rows_ = input_.device<std::uint32_t>(kept);
  return input_.send(stream_);
}

Status Forward::run(const KvView& pool, PageTransfers& transfers) {
  const auto records = [](const Communicator* with) { return with == nullptr || with->records(); };
  recorded_ = count_ <= kMostRecordedRows && records(links_.across) && records(links_.along);
  // What is replayed does not wait between layers, nor do copies of pages.
  if (recorded_ || waves_.size() > 1) ESP_TRY(transfers.before_reading());
  for (std::size_t i = 0; i + 1 < waves_.size(); ++i) {
    if (waves_[i] == waves_[i + 1]) continue;
    copy_pages(stream_.get(), waves_[i + 1] - waves_[i], copies_ + waves_[i], pool);
  }
  if (count_ == 0) return {};
  const auto layers = [&] { return enqueue(pool, transfers); };
  if (!recorded_) {
    ESP_TRY(layers());
  } else {
    if (moves_ != DeviceMemory::moves()) {
      moves_ = DeviceMemory::moves();
      graphs_.clear();
    }
    Status ran = graphs_.run(stream_, key_, layers);
    if (!ran && blocks_ > 0 && ran.error().code != ErrorCode::kExhausted) {
      ESP_TRY(take_apart());
      ran = graphs_.run(stream_, key_, layers);
    }
    ESP_TRY(ran);
  }
  residual_ = after_layers(pool);  // also where they were replayed
  return {};
}

float* Forward::after_layers(const KvView& pool) const {
  if (blocks_ > 0) return together_.residual(layers_call(pool));
  return has_head(*model_) && wanted_ < count_ ? x_.as<float>() : begin_;
}

Status Forward::enqueue(const KvView& pool, PageTransfers& transfers) {
  Communicator* const along = links_.along;
  const std::uint64_t floats = std::uint64_t{count_} * shape_.width;
  std::uint32_t rows = count_;
  residual_ = begin_;
  if (ids_ != nullptr) {
    embed_rows(stream_.get(), rows, weights_.embedding.parts[0].matrix, ids_, chosen_,
               shape_.embedding_scale, residual_, shape_.width);
  } else if (along != nullptr && along->rank() > 0) {
    ESP_TRY(along->receive(residual_, floats, along->rank() - 1, stream_));
  }
  if (blocks_ > 0) ESP_TRY(run_together(rows, pool));
  for (std::uint32_t l = 0; l < shape_.layers && blocks_ == 0; ++l) {
    ESP_TRY(transfers.before_layer(l));
    ESP_TRY(run_layer(l, rows, pool));
  }
  if (has_head(*model_) || along == nullptr) return {};
  return along->send(residual_, floats, along->rank() + 1, stream_);
}

Forward::Own Forward::own(const Shared& matrix, std::uint32_t rows) const {
  if (!is_shared()) return {matrix.whole, matrix.stride};
  const std::uint32_t rank = links_.across->rank();
  const std::uint32_t first = (*matrix.cut)[rank];
  return {exchange_.as<float>() + std::size_t{rows} * first, (*matrix.cut)[rank + 1] - first};
}

// After own() has been written: the whole rows, or onto them.
Status Forward::gather(const Shared& matrix, std::uint32_t rows, bool add) {
  if (!is_shared()) return {};
  Pieces pieces;
  pieces.ranks = shares_.ranks();
  std::copy(matrix.cut->begin(), matrix.cut->end(), pieces.cuts);
  offsets_.clear();
  for (const std::uint32_t cut : *matrix.cut) offsets_.push_back(std::uint64_t{rows} * cut);
  ESP_TRY(links_.across->all_gather(exchange_.as<float>(), offsets_, stream_));
  join_columns(stream_.get(), rows, pieces, exchange_.as<float>(), matrix.whole, matrix.stride,
               add);
  return {};
}

// Of activations as fit() has made room for them.
Status Forward::multiply(ProductOf which, const MatrixGroup& group, const Activations& x,
                         std::uint32_t rows, float* out, std::size_t stride, bool add,
                         const std::uint32_t* wanted) {
  for (const MatrixGroup::Part& part : group.parts) {
    if (x.strips.values != nullptr) {
      ESP_TRY(
          tensor_->product(stream_, part.matrix, x.strips, rows, out + part.first, stride, add));
      continue;
    }
    bool multiplied = false;
    if (part.matrix.format == WeightFormat::kE4M3 && rows >= kLeastE4m3Rows) {
      ESP_ASSIGN(multiplied,
                 multiply_codes(part.matrix, x.e4m3, rows, out + part.first, stride, add));
    }
    if (!multiplied) {
      product(stream_.get(), part.matrix, x, rows, out + part.first, stride, add, wanted,
              tuning_.of(rows).of(which));
    }
  }
  return {};
}

// The product onto the residual: through `post`, where there is one.
Status Forward::add_block(ProductOf which, const MatrixGroup& group, const Activations& x,
                          std::uint32_t rows, const float* post) {
  const std::size_t width = shape_.width;
  const Shared to{&shares_.width, post == nullptr ? residual_ : block_.as<float>(), width};
  const Own out = own(to, rows);
  ESP_TRY(multiply(which, group, x, rows, out.to, out.stride, post == nullptr && !is_shared()));
  ESP_TRY(gather(to, rows, post == nullptr));
  if (post != nullptr) {
    add_normed(stream_.get(), rows, block_.as<float>(), width, post, shape_.width,
               shape_.norm_epsilon, residual_, width);
  }
  return {};
}

// Where Q, K and V of a layer are after their products.
Heads Forward::heads_of(std::uint32_t number) const {
  const DeviceLayer& it = weights_.layers[number];
  const View& view = this->view(number);
  float* const queries = heads_.as<float>();
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
  return heads;
}

Status Forward::run_layer(std::uint32_t number, std::uint32_t& rows, const KvView& pool) {
  const DeviceLayer& it = weights_.layers[number];
  View& view = this->view(number);
  cudaStream_t stream = stream_.get();
  const std::uint32_t width = shape_.width;

  ESP_TRY(fit(normal_, rows, width, it.heads));
  rms_norm(stream, rows, residual_, width, nullptr, it.attention_norm, width, shape_.norm_epsilon,
           normal_.view());
  float* queries = heads_.as<float>();
  ESP_TRY(multiply(ProductOf::kHeads, it.heads, normal_.view(), rows, queries, it.heads.outputs,
                   false));
  turn_heads(stream, rows, heads_of(number), rows_, slots_, number, pool,
             tuning_.of(rows).heads_together);

  const Planned* planned = &view.all;
  // In the model's last layer the others' K and V were all.
  if (number + 1 == shape_.layers && wanted_ < rows && has_head(*model_)) {
    if (wanted_ == 0) return {};
    planned = &view.wanted;
    gather_rows(stream, wanted_, residual_, width, kept_rows_, width, x_.as<float>(), width);
    residual_ = x_.as<float>();
    rows = wanted_;
  }
  AttentionCall call;
  call.plan = input_.device<unsigned char>(planned->place);
  call.pool = pool;
  call.layer = number;
  call.heads = shape_.heads;
  call.scale = shape_.query_scale;
  call.queries = queries;
  call.query_stride = it.heads.outputs;
  const Shared attended{&shares_.queries, attended_.as<float>(), query_width_};
  const Own attention = own(attended, rows);
  call.out = attention.to;
  call.out_stride = attention.stride;
  call.parts = parts_.as<float>();
  attend(stream, planned->grid, call);

  ESP_TRY(gather(attended, rows, false));
  ESP_TRY(fit(attended_codes_, rows, query_width_, it.output));
  set_activations(stream, rows, attended.whole, attended.stride, nullptr, query_width_,
                  attended_codes_.view());
  ESP_TRY(add_block(ProductOf::kOutput, it.output, attended_codes_.view(), rows,
                    it.post_attention_norm));

  ESP_TRY(fit(normal_, rows, width, it.hidden));
  rms_norm(stream, rows, residual_, width, nullptr, it.feed_forward_norm, width,
           shape_.norm_epsilon, normal_.view());
  float* gates = hidden_.as<float>();
  ESP_TRY(multiply(ProductOf::kHidden, it.hidden, normal_.view(), rows, gates, it.hidden.outputs,
                   false));
  ESP_TRY(fit(hidden_codes_, rows, hidden_width_, it.down));
  // Where ranks share the columns, they are gathered as floats and each quantises all.
  const Shared gated{&shares_.feed_forward, gated_.as<float>(), hidden_width_};
  const Own columns = own(gated, rows);
  Activations out = hidden_codes_.view();
  if (is_shared()) {
    out = {};
    out.floats = columns.to;
    out.stride = columns.stride;
  }
  gate(stream, rows, gates, gates + it.up_first, it.hidden.outputs, shape_.feed_forward,
       shape_.activation == Activation::kGeluTanh, out);
  if (is_shared()) {
    ESP_TRY(gather(gated, rows, false));
    set_activations(stream, rows, gated.whole, gated.stride, nullptr, hidden_width_,
                    hidden_codes_.view());
  }
  return add_block(ProductOf::kDown, it.down, hidden_codes_.view(), rows,
                   it.post_feed_forward_norm);
}

Status Forward::narrow_head(std::span<const std::vector<std::uint64_t>> tokens) {
  ESP_CHECK(tokens.size() == panels_at_.size());
  bool narrowed = false;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto rows = std::min(wanted_ - static_cast<std::uint32_t>(i) * kHeadRows, kHeadRows);
    if (!plan_head(tokens[i], rows, panels_.host<std::uint32_t>(panels_at_[i]))) continue;
    head_panels_[i] = panels_.device<std::uint32_t>(panels_at_[i]);
    narrowed = true;
  }
  if (!narrowed) return {};
  ESP_TRY(panels_.send(copies_beside_));
  return copies_beside_.join(stream_);
}

Status Forward::head(std::uint32_t begin, std::uint32_t end) {
  const std::uint32_t rows = end - begin;
  const std::uint32_t width = shape_.width;
  const std::uint32_t* const panels = head_panels_[begin / kHeadRows];
  if (panels == nullptr) {
    ESP_TRY(fit(head_, rows, width, weights_.head));
  } else {
    ESP_TRY(head_.fit(rows, width, weights_.head));
  }
  rms_norm(stream_.get(), rows, residual_ + std::size_t{begin} * width, width, nullptr,
           weights_.output_norm, width, shape_.norm_epsilon, head_.view());
  const Shared logits{&shares_.vocabulary, logits_.as<float>(), logits_stride_};
  const Own out = own(logits, rows);
  ESP_CHECK(weights_.head.parts.size() == 1);
  ESP_TRY(multiply(ProductOf::kHead, weights_.head, head_.view(), rows, out.to, out.stride, false,
                   panels));
  ESP_TRY(gather(logits, rows, false));
  if (shape_.logit_cap != 0.0F) {
    soft_cap(stream_.get(), rows, logits_.as<float>(), logits_stride(), shape_.vocabulary,
             shape_.logit_cap);
  }
  return {};
}

Result<const float*> Forward::logits(std::uint32_t begin, std::uint32_t end) {
  const auto work = [&] { return head(begin, end); };
  if (!recorded_) {
    ESP_TRY(work());
  } else {
    // What its launches depend on; a step that is recorded has no other rows.
    const std::uint64_t narrowed = head_panels_[0] == nullptr ? 0 : 1;
    ESP_TRY(
        graphs_.run(stream_, {end, narrowed, reinterpret_cast<std::uintptr_t>(residual_)}, work));
  }
  return logits_.as<float>();
}

}  // namespace espalier::runtime::cuda
