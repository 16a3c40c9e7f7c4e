// Steps whose layers are one kernel (layers_together.h).
#include "runtime/cuda/forward.h"

namespace espalier::runtime::cuda {

OneKernelCall Forward::layers_call(const KvView& pool) const {
  const auto view_of = [&](const View* view) {
    LayerView out;
    if (view == nullptr) return out;
    out.cosines = view->tables.cosines();
    out.sines = view->tables.sines();
    out.pairs = view->tables.pairs();
    out.plan = input_.device<unsigned char>(view->all.place);
    return out;
  };
  OneKernelCall call;
  call.rows = count_;
  call.width = shape_.width;
  call.query_width = query_width_;
  call.feed_forward = shape_.feed_forward;
  call.heads = shape_.heads;
  call.epsilon = shape_.norm_epsilon;
  call.query_scale = shape_.query_scale;
  call.gelu = shape_.activation == Activation::kGeluTanh;
  call.adjacent = shape_.rope_pairs == RopePairs::kAdjacent;
  call.global = view_of(global_.get());
  call.local = view_of(local_.get());
  call.temperatures = temperatures_.values();
  call.prunes = wanted_ < count_ && has_head(*model_);
  if (call.prunes) {
    call.kept = wanted_;
    call.kept_rows = kept_rows_;
    call.kept_plan = input_.device<unsigned char>(view(shape_.layers - 1).wanted.place);
  }
  call.row_facts = rows_;
  call.slots = slots_;
  call.pool = pool;
  call.x = begin_;
  call.x_after = x_.as<float>();
  call.queries = heads_.as<float>();
  call.attended = attended_.as<float>();
  call.gated = hidden_.as<float>();
  call.block = block_.as<float>();
  call.parts = parts_.as<float>();
  return call;
}

Status Forward::run_together(std::uint32_t& rows, const KvView& pool) {
  const OneKernelCall call = layers_call(pool);
  ESP_TRY(check(together_.run(stream_, blocks_, call), "launching layers together"));
  residual_ = together_.residual(call);
  if (call.prunes) rows = call.kept;
  const float* const post = weights_.layers.back().post_feed_forward_norm;
  if (post != nullptr && rows > 0) {
    add_normed(stream_.get(), rows, block_.as<float>(), shape_.width, post, shape_.width,
               shape_.norm_epsilon, residual_, shape_.width);
  }
  return {};
}

// The device refuses the kernel or its recording: others may have a part of it, so that it does not
// hold all blocks. The kernels of the stages take over, for good, from a residual stream as it was.
Status Forward::take_apart() {
  (void)cudaGetLastError();
  together_.give_up();
  graphs_.clear();
  key_[0] = blocks_ = 0;
  return input_.send(stream_);
}

}  // namespace espalier::runtime::cuda
