#include "grammar/mask_rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <string>

#include "grammar/json_schema.h"
#include "tests/grammar/testing.h"

namespace espalier::grammar {
namespace {

using testing_support::byte_vocabulary;

constexpr std::size_t kVocabulary = 300;  // not a multiple of 64

MaskRef mask_of(std::initializer_list<TokenId> ids) {
  return std::make_shared<const Mask>(std::vector<TokenId>(ids), (kVocabulary + 63) / 64);
}

// One mask for each number below 2^16.
MaskRef numbered(unsigned number) {
  std::vector<TokenId> ids;
  for (TokenId b = 0; b < 16; ++b) {
    if (((number >> b) & 1) != 0) ids.push_back(b * 17);
  }
  return std::make_shared<const Mask>(std::move(ids), (kVocabulary + 63) / 64);
}

bool row_is(const MaskSlots& slots, std::uint32_t slot, const Mask& mask) {
  return std::ranges::equal(slots.words().subspan(slot * slots.row_words(), slots.row_words()),
                            mask.words());
}

// However a mask was collected and however often it was asked: the row is the bitset's beginning.
TEST(Mask, FillsRowsAsItsBitsetSays) {
  std::mt19937_64 random(3);
  constexpr std::size_t kWords = 9;
  const auto owner = std::make_shared<std::vector<TokenId>>();
  for (int i = 0; i < 40; ++i) owner->push_back(static_cast<TokenId>(random() % (kWords * 64)));
  for (int round = 0; round < 200; ++round) {
    MaskBuilder builder(kWords * 64);
    std::vector<bool> wanted(kWords * 64);
    for (std::uint64_t n = random() % 4; n > 0; --n) {
      auto table = std::make_shared<MaskTable>();
      for (std::size_t w = 0; w < kWords; ++w) {
        std::uint64_t word = random();
        for (int i = 0; i < 2; ++i) word &= random();
        table->words.push_back(word);
      }
      for_each_bit(table->words, [&](TokenId id) { wanted[static_cast<std::size_t>(id)] = true; });
      builder.allow(MaskTableRef(std::move(table)));
    }
    for (std::uint64_t n = random() % 3; n > 0; --n) {
      const std::span ids = std::span(*owner).first(random() % owner->size());
      for (const TokenId id : ids) wanted[static_cast<std::size_t>(id)] = true;
      builder.allow(TokenListRef{owner, ids});
    }
    for (std::uint64_t n = random() % 20; n > 0; --n) {
      const auto id = static_cast<TokenId>(random() % (kWords * 64));
      wanted[static_cast<std::size_t>(id)] = true;
      builder.allow(id);
    }
    if (random() % 4 == 0) static_cast<void>(builder.words());
    const MaskRef mask = builder.build();
    for (int row = 0; row < 9; ++row) {  // as it was found, then from the bitset
      const std::size_t bytes = random() % (kWords * 8 + 9);
      std::vector<std::byte> out(kWords * 8 + 16, std::byte{0xA5});
      mask->fill(out.data() + 1, bytes);
      for (std::size_t i = 0; i < kWords * 8 + 8; ++i) {
        std::byte expected{0xA5};
        if (i < std::min(bytes, mask->size_bytes())) {
          expected = std::byte{0};
          for (unsigned b = 0; b < 8; ++b) expected |= std::byte(wanted[i * 8 + b] ? 1U << b : 0U);
        }
        ASSERT_EQ(out[i + 1], expected) << round << " row " << row << " byte " << i;
      }
    }
    std::uint32_t count = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      count += wanted[i] ? 1 : 0;
      ASSERT_EQ(mask->allows(static_cast<TokenId>(i)), wanted[i]);
    }
    ASSERT_EQ(mask->count(), count);
    ASSERT_TRUE(std::ranges::is_sorted(mask->ids()));
    ASSERT_EQ(mask->ids().size(), count);
  }
}

TEST(MaskRows, AreTheSameOnAnyNumberOfThreads) {
  const VocabularyRef vocabulary = byte_vocabulary();
  std::vector<GrammarRef> grammars;
  for (const char* schema :
       {R"({"type": "object", "properties": {"a": {"type": "integer"}}})",
        R"({"enum": ["x", "yz"]})", R"({"type": "string", "pattern": "^[a-f]{2,9}$"})"}) {
    grammars.push_back(compile_json_schema(vocabulary, Json::parse(schema)).value());
  }
  std::mt19937 random(7);
  std::vector<Matcher> matchers;
  for (std::size_t i = 0; i < 40; ++i) {
    Matcher m = grammars[i % grammars.size()]->start();
    for (std::size_t n = random() % 12; n > 0; --n) {
      const auto ids = m.mask(UINT32_MAX)->ids();
      if (ids.empty() || !m.advance(ids[random() % ids.size()])) break;
    }
    matchers.push_back(std::move(m));
  }
  std::vector<RowRequest> requests;
  std::vector<std::size_t> rows;
  for (const Matcher& m : matchers) {
    requests.push_back({&m, requests.size() % 2 == 0 ? UINT32_MAX : m.distance()});
    rows.push_back(matchers.size() - requests.size());
  }
  const std::size_t row_bytes = (vocabulary->size() + 31) / 32 * 4;
  const std::size_t stride = row_bytes + 3;
  const auto filled = [&](unsigned threads) {
    std::vector<std::byte> out(stride * matchers.size(), std::byte{0xA5});
    fill_rows(requests, rows, {out.data(), static_cast<std::ptrdiff_t>(stride), row_bytes},
              threads);
    return out;
  };
  const auto alone = filled(1);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const MaskRef mask = matchers[i].mask(requests[i].tokens_left);
    EXPECT_EQ(std::memcmp(alone.data() + rows[i] * stride, mask->words().data(), row_bytes), 0);
    EXPECT_EQ(alone[rows[i] * stride + row_bytes], std::byte{0xA5});
  }
  for (const unsigned threads : {0U, 2U, 3U, 100U}) {
    SCOPED_TRACE(threads);
    EXPECT_EQ(filled(threads), alone);
    const auto masks = masks_of(requests, threads);
    for (std::size_t i = 0; i < requests.size(); ++i) {
      EXPECT_EQ(masks[i], matchers[i].mask(requests[i].tokens_left));
    }
  }
  EXPECT_TRUE(masks_of({}, 4).empty());
}

TEST(MaskSlots, EqualMasksShareASlotAndKeepIt) {
  MaskSlots slots = MaskSlots::create(kVocabulary, 4).value();
  const auto first =
      slots.assign(std::vector{mask_of({1}), mask_of({2, 299}), mask_of({1})}).value();
  EXPECT_EQ(first.slots[0], first.slots[2]);
  EXPECT_NE(first.slots[0], first.slots[1]);
  EXPECT_EQ(first.changed.size(), 2U);
  const auto again = slots.assign(std::vector{mask_of({299, 2}), mask_of({1})}).value();
  EXPECT_EQ(again.slots, (std::vector{first.slots[1], first.slots[0]}));
  EXPECT_TRUE(again.changed.empty());
}

TEST(MaskSlots, WhatDoesNotFitIsRefusedAndChangesNothing) {
  EXPECT_EQ(MaskSlots::create(0, 1).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(MaskSlots::create(1, 0).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(MaskSlots::create(128'256, SIZE_MAX).error().code, ErrorCode::kLimit);
  MaskSlots slots = MaskSlots::create(kVocabulary, 3).value();
  const auto first = slots.assign(std::vector{mask_of({1}), mask_of({2})}).value();
  const auto over = slots.assign(std::vector{mask_of({3}), mask_of({4})});
  ASSERT_FALSE(over.has_value());
  EXPECT_EQ(over.error().code, ErrorCode::kLimit);
  EXPECT_NE(over.error().message.find("4 distinct masks"), std::string::npos);
  const std::vector other{std::make_shared<const Mask>(std::vector<TokenId>{1}, 99)};
  EXPECT_EQ(slots.assign(std::vector<MaskRef>(other.begin(), other.end())).error().code,
            ErrorCode::kInvalid);
  const auto same = slots.assign(std::vector{mask_of({1}), mask_of({2})}).value();
  EXPECT_EQ(same.slots, first.slots);
  EXPECT_TRUE(same.changed.empty());
}

// Against a model that knows nothing but the contract: a reader that copied the changed rows reads
// each mask under its slot, now and after one more batch.
TEST(MaskSlots, AReaderOfTheChangedRowsAlwaysSeesTheMasks) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const std::size_t rows = 1 + random() % 6;
    const std::size_t capacity = 2 * rows + random() % 5;
    const unsigned kinds = 1 + random() % 30;
    MaskSlots slots = MaskSlots::create(kVocabulary, capacity).value();
    std::vector<std::uint64_t> device(capacity * slots.row_words(), ~std::uint64_t{0});
    std::map<unsigned, MaskRef> kept;
    std::vector<std::pair<std::uint32_t, unsigned>> before;
    for (int step = 0; step < 80; ++step) {
      std::vector<unsigned> numbers(1 + random() % rows);
      std::vector<MaskRef> masks;
      for (unsigned& n : numbers) {
        n = random() % kinds;
        // At times another object with the same words.
        MaskRef& known = kept[n];
        if (known == nullptr || random() % 4 == 0) known = numbered(n);
        masks.push_back(known);
      }
      const auto assigned = slots.assign(masks).value();
      ASSERT_EQ(assigned.slots.size(), masks.size());
      ASSERT_EQ(std::set(assigned.changed.begin(), assigned.changed.end()).size(),
                assigned.changed.size());
      for (const std::uint32_t slot : assigned.changed) {
        ASSERT_LT(slot, capacity);
        std::ranges::copy(slots.words().subspan(slot * slots.row_words(), slots.row_words()),
                          device.begin() + static_cast<std::ptrdiff_t>(slot * slots.row_words()));
      }
      for (std::size_t i = 0; i < masks.size(); ++i) {
        ASSERT_TRUE(std::equal(
            masks[i]->words().begin(), masks[i]->words().end(),
            device.begin() + static_cast<std::ptrdiff_t>(assigned.slots[i] * slots.row_words())));
        before.emplace_back(assigned.slots[i], numbers[i]);
      }
      // Those of the batch before are still there.
      for (const auto& [slot, number] : before) ASSERT_TRUE(row_is(slots, slot, *numbered(number)));
      before.clear();
      for (std::size_t i = 0; i < masks.size(); ++i)
        before.emplace_back(assigned.slots[i], numbers[i]);
    }
  }
}

}  // namespace
}  // namespace espalier::grammar
