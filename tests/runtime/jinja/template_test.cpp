#include <gtest/gtest.h>

#include "runtime/jinja/template.h"

namespace espalier::runtime::jinja {
namespace {
TEST(Template, Renders) {
  auto t = Template::compile("{{ 'a' ~ 1 }}");
  ASSERT_TRUE(t) << t.error().message;
  Arena arena(1 << 20);
  auto r = (*t)->render(arena, Dict{});
  ASSERT_TRUE(r) << r.error().message;
  EXPECT_EQ(r->text.bytes, "a1");
}
}  // namespace
}  // namespace espalier::runtime::jinja
