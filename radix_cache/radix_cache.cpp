#include "radix_cache/radix_cache.h"

#include <algorithm>
#include <chrono>

#include "radix_cache/tree.h"

namespace espalier::radix_cache {

/// From here to the end of the scope is time inside the cache.
class RadixCache::Stopwatch {
 public:
  explicit Stopwatch(const Impl& impl) : impl_(impl) {
    if (impl_.timed) began_ = std::chrono::steady_clock::now();
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  ~Stopwatch() {
    if (impl_.timed) impl_.spent += std::chrono::steady_clock::now() - began_;
  }

 private:
  const Impl& impl_;
  std::chrono::steady_clock::time_point began_{};
};

Lease::Lease(Lease&& other) noexcept
    : cache_(std::exchange(other.cache_, nullptr)),
      anchor_(std::exchange(other.anchor_, 0)),
      length_(std::exchange(other.length_, 0)) {}

Lease& Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    if (cache_ != nullptr) cache_->release(anchor_);
    cache_ = std::exchange(other.cache_, nullptr);
    anchor_ = std::exchange(other.anchor_, 0);
    length_ = std::exchange(other.length_, 0);
  }
  return *this;
}

Lease::~Lease() {
  if (cache_ != nullptr) cache_->release(anchor_);
}

RadixCache::RadixCache(Options options) : impl_(std::make_unique<Impl>(options)) {}

RadixCache::~RadixCache() {
  ESP_CHECK(impl_->anchors.size() == impl_->free_anchors.size());  // leases die before their cache
}

void RadixCache::release(std::uint32_t anchor) {
  const Stopwatch watch(*impl_);
  impl_->release(anchor);
}

Lease RadixCache::open(Space space) {
  const Stopwatch watch(*impl_);
  Lease lease;
  lease.anchor_ = impl_->open(space);
  lease.cache_ = this;
  return lease;
}

Lease RadixCache::fork(const Lease& lease) {
  const Stopwatch watch(*impl_);
  ESP_CHECK(lease.cache_ == this);
  Lease twin;
  twin.anchor_ = impl_->fork(lease.anchor_);
  twin.length_ = lease.length_;
  twin.cache_ = this;
  return twin;
}

Extended RadixCache::extend(Lease& lease, std::span<const TokenId> tokens, std::size_t own) {
  const Stopwatch watch(*impl_);
  ESP_CHECK(lease.cache_ == this);
  ESP_CHECK(tokens.size() <= std::size_t{INT32_MAX} - lease.length_);  // positions are 32 bits wide
  const Extended out = impl_->extend(lease.anchor_, tokens,
                                     static_cast<std::uint32_t>(std::min(own, tokens.size())));
  lease.length_ += static_cast<std::uint32_t>(tokens.size());
  return out;
}

void RadixCache::rollback(Lease& lease, std::uint32_t length) {
  const Stopwatch watch(*impl_);
  ESP_CHECK(lease.cache_ == this && length <= lease.length_);
  if (length == lease.length_) return;
  impl_->rollback(lease.anchor_, length);
  lease.length_ = length;
}

void RadixCache::retract(Lease& lease, std::uint32_t length, std::uint32_t fresh) {
  const Stopwatch watch(*impl_);
  ESP_CHECK(lease.cache_ == this && length <= lease.length_);
  if (length == lease.length_) return;
  impl_->retract(lease.anchor_, length, std::max(length, fresh));
  lease.length_ = length;
}

std::span<const TokenId> RadixCache::following(const Lease& lease, std::size_t most) const {
  ESP_CHECK(lease.cache_ == this);
  const Anchor& a = impl_->anchors[lease.anchor_];
  const Node& x = impl_->nodes[a.node];
  if (x.is_root()) return {};
  return {x.tokens() + a.offset, std::min<std::size_t>(most, x.length - a.offset)};
}

std::uint32_t RadixCache::ready(const Lease& lease) const {
  const Stopwatch watch(*impl_);
  ESP_CHECK(lease.cache_ == this);
  const Anchor& a = impl_->anchors[lease.anchor_];
  return impl_->prefix(a.node, a.offset, &Node::ready);
}

std::uint32_t RadixCache::planned(const Lease& lease, const StepPlan& plan) const {
  if (plan.epoch_ == 0) return ready(lease);
  const Stopwatch watch(*impl_);
  ESP_CHECK(lease.cache_ == this && plan.epoch_ == impl_->open_epoch);
  const Anchor& a = impl_->anchors[lease.anchor_];
  return impl_->prefix(a.node, a.offset, &Node::planned);
}

std::uint32_t RadixCache::pages_needed(const Lease& lease, std::uint32_t length) const {
  const Stopwatch watch(*impl_);
  ESP_CHECK(lease.cache_ == this);
  std::vector<Impl::Unplanned> nodes;
  impl_->add_unplanned(impl_->anchors[lease.anchor_], length, nodes);
  return impl_->pages_needed(nodes);
}

std::uint32_t RadixCache::pages_needed(std::span<const Wanted> paths) const {
  const Stopwatch watch(*impl_);
  std::vector<Impl::Unplanned> nodes;
  for (const Wanted& path : paths) {
    ESP_CHECK(path.lease->cache_ == this);
    impl_->add_unplanned(impl_->anchors[path.lease->anchor_], path.length, nodes);
  }
  return impl_->pages_needed(nodes);
}

RowRange RadixCache::plan(Lease& lease, StepPlan& plan, std::uint32_t max_rows) {
  const Stopwatch watch(*impl_);
  ESP_CHECK(lease.cache_ == this);
  return impl_->plan(impl_->anchors[lease.anchor_], plan, max_rows);
}

std::optional<PlannedWrite> RadixCache::reserve(const Lease& lease) {
  const Stopwatch watch(*impl_);
  ESP_CHECK(lease.cache_ == this);
  return impl_->reserve(lease.anchor_);
}

RowRange RadixCache::plan(Lease& lease, StepPlan& plan, const PlannedWrite& reserved) {
  const Stopwatch watch(*impl_);
  ESP_CHECK(lease.cache_ == this);
  return impl_->plan_reserved(impl_->anchors[lease.anchor_], plan, reserved);
}

void RadixCache::give_back(const PlannedWrite& reserved) {
  const Stopwatch watch(*impl_);
  impl_->give_back(reserved);
}

void RadixCache::seal(StepPlan& plan) {
  const Stopwatch watch(*impl_);
  if (plan.sealed_) return;
  plan.sealed_ = true;
  std::stable_sort(plan.extra_.begin(), plan.extra_.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<PlannedWrite> writes;
  writes.reserve(plan.writes_.size() + plan.extra_.size());
  auto extra = plan.extra_.begin();
  for (std::uint32_t row = 0; row < plan.rows_.size(); ++row) {
    plan.rows_[row].first_write = static_cast<std::uint32_t>(writes.size());
    writes.push_back(plan.writes_[row]);
    for (; extra != plan.extra_.end() && extra->first == row; ++extra)
      writes.push_back(extra->second);
    plan.rows_[row].writes =
        static_cast<std::uint32_t>(writes.size()) - plan.rows_[row].first_write;
  }
  plan.writes_ = std::move(writes);
}

void RadixCache::commit(StepPlan& plan) {
  const Stopwatch watch(*impl_);
  if (plan.epoch_ == 0) return;
  ESP_CHECK(plan.epoch_ == impl_->open_epoch);
  impl_->close(true);
  plan.epoch_ = 0;
}

void RadixCache::abandon(StepPlan& plan) {
  const Stopwatch watch(*impl_);
  if (plan.epoch_ == 0) return;
  ESP_CHECK(plan.epoch_ == impl_->open_epoch);
  impl_->close(false);
  plan.epoch_ = 0;
}

std::uint32_t RadixCache::compact(const Lease& lease) {
  const Stopwatch watch(*impl_);
  ESP_CHECK(lease.cache_ == this && impl_->open_epoch == 0);
  return impl_->compact(impl_->anchors[lease.anchor_].node);
}

void RadixCache::page_table(const Lease& lease, std::uint32_t length,
                            std::vector<PageId>& out) const {
  const Stopwatch watch(*impl_);
  ESP_CHECK(lease.cache_ == this);
  const Anchor& a = impl_->anchors[lease.anchor_];
  ESP_CHECK(length <= impl_->prefix(a.node, a.offset, &Node::planned));
  out.resize(pages_for(0, length));
  std::size_t left =
      out.size();  // pages [0, left) are still to be filled in: deeper nodes came first
  for (std::uint32_t n = a.node; left > 0; n = impl_->nodes[n].parent) {
    const Node& x = impl_->nodes[n];
    if (x.start >= length) continue;
    const std::size_t first = x.start / kPageTokens;
    for (; left > first; --left) out[left - 1] = x.pages[left - 1 - first];
  }
}

std::vector<TokenId> RadixCache::tokens(const Lease& lease) const {
  const Stopwatch watch(*impl_);
  ESP_CHECK(lease.cache_ == this);
  const Anchor& a = impl_->anchors[lease.anchor_];
  std::vector<TokenId> out(lease.length_);
  std::uint32_t count = a.offset;
  for (std::uint32_t n = a.node; !impl_->nodes[n].is_root(); n = impl_->nodes[n].parent) {
    const Node& x = impl_->nodes[n];
    if (n != a.node) count = x.length;
    std::copy_n(x.tokens(), count, out.begin() + x.start);
  }
  return out;
}

void RadixCache::mark_dead(const Lease& lease, std::uint32_t from) {
  ESP_CHECK(lease.cache_ == this);
  impl_->anchors[lease.anchor_].dead_from = from;
}

std::uint32_t RadixCache::match(Space space, std::span<const TokenId> tokens) const {
  const Stopwatch watch(*impl_);
  return impl_->match(space, tokens);
}

std::uint64_t RadixCache::changes() const { return impl_->changes; }

void RadixCache::expect(const Lease& lease, std::uint64_t when) {
  ESP_CHECK(lease.cache_ == this);
  impl_->anchors[lease.anchor_].when = when;
}

void RadixCache::forget(Space space, std::span<const TokenId> tokens, bool dead,
                        std::uint32_t from) {
  const Stopwatch watch(*impl_);
  impl_->forget(space, tokens, dead ? from : kNil);
}

void RadixCache::retain(const Lease& lease, const Retention& wish) {
  const Stopwatch watch(*impl_);
  ESP_CHECK(lease.cache_ == this);
  impl_->retain(lease.anchor_, wish);
}

void RadixCache::set_time(std::uint64_t step) {
  const Stopwatch watch(*impl_);
  impl_->set_time(step);
}

void RadixCache::clear() {
  const Stopwatch watch(*impl_);
  impl_->clear();
}

Usage RadixCache::usage() const {
  const PagePool& pool = impl_->pool;
  Usage out;
  out.total = pool.total();
  out.free = pool.free();
  out.held = pool.held();
  out.evictable = out.held - pool.pinned();
  out.retained = impl_->retained_pages;
  out.nodes = static_cast<std::uint32_t>(impl_->table.size());
  return out;
}

Evicted RadixCache::evicted() const { return impl_->evicted; }

double RadixCache::seconds() const { return std::chrono::duration<double>(impl_->spent).count(); }

std::vector<NodeView> RadixCache::view() const { return impl_->view(); }

void RadixCache::on_free(void (*freed)(void* context, PageId page), void* context) {
  impl_->pool.on_free(freed, context);
}

Status RadixCache::check() const { return impl_->check(); }

}  // namespace espalier::radix_cache
