#include "tests/runtime/cuda/rig.h"

namespace espalier::runtime::cuda {
namespace {

void fail_the_test() {
  host_cuda::set_failure_handler([](const std::string& message) { ADD_FAILURE() << message; });
}

// What the shim finds fails the test that runs.
class ShimEnvironment : public ::testing::Environment {
  void SetUp() override { fail_the_test(); }
};
[[maybe_unused]] const auto* const environment =
    ::testing::AddGlobalTestEnvironment(new ShimEnvironment);

}  // namespace

CollectedFailures::CollectedFailures() {
  host_cuda::set_failure_handler(
      [this](const std::string& message) { messages_.push_back(message); });
}

CollectedFailures::~CollectedFailures() { fail_the_test(); }

}  // namespace espalier::runtime::cuda
