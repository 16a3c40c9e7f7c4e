// A backend that hands everything on to another, for tests that watch or disturb some of it.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "runtime/backend.h"

namespace espalier::runtime {

class WrappedBackend : public Backend {
 public:
  explicit WrappedBackend(std::unique_ptr<Backend> inner) : inner_(std::move(inner)) {}
  const BackendInfo& info() const override { return inner_->info(); }
  Status begin(const Batch& batch, std::span<const std::uint32_t> wanted) override {
    return inner_->begin(batch, wanted);
  }
  Result<std::vector<RowResult>> finish(std::span<const RowPlan> plans) override {
    return inner_->finish(plans);
  }
  void poison(PageId page) override { inner_->poison(page); }
  void export_page(PageId page, std::span<std::byte> out) const override {
    inner_->export_page(page, out);
  }
  void import_page(PageId page, std::span<const std::byte> bytes) override {
    inner_->import_page(page, bytes);
  }

 private:
  std::unique_ptr<Backend> inner_;
};

}  // namespace espalier::runtime
