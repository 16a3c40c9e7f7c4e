// The product of a weight panel with rows of codes: everything but the integer sums of a block.
//
// Included by a vector kernel file inside its anonymous namespace, after panel_inl.h and after it
// has defined
//   Outputs           a vector of kOutputs outputs, 16 or a part of them: a panel is taken in parts
//   mul fma           of Outputs, besides those of Lanes
//   splat_outputs load_outputs store_outputs
//   load_scales(p, bf16)  numbers of 16 bits;  load_steps(p)  int8 values, as floats
//   kMostRows<type>   rows that a tile takes at most
//   kAhead            how many bytes early a panel's are asked for, 0 for not at all: a line comes
//                     from the last cache in 70 to 100 ns, and one row's block takes 5 to 10
//   block_sums<type, rows>(codes, a, bias, scales, add): calls add(m, g, sum, scales(g)) for row m
//       and group g of a block, whose sum (as floats) is that of codes * activations, with what
//       belongs to the type's bias, bias(m, g); a: 32 activations a row
// No include guard: a file includes it once.

// A group's scale and minimum.
struct GroupScale {
  Outputs d, minimum;
};

// Parts of a panel, from `part` on, against kRows rows, from `row` on, of one group of rows.
template <PanelType kType, int kRows, int kParts>
inline void panel_tile(const unsigned char* unit, const QuantisedRows& x, size_t row, size_t part,
                       float* out, size_t stride, bool add_to) {
  constexpr PanelFormat kFormat = panel_format(kType);
  constexpr size_t kUnit = panel_unit_bytes(kType);
  constexpr size_t kCodes = panel_code_bytes(kType);
  constexpr int kGroups = kFormat.groups;
  constexpr int kSums = kParts * kRows;
  const size_t blocks = x.columns / kBlock;
  const size_t first = code_place(row, 0, blocks);
  const int8_t* a = x.codes + first * kBlock;
  const CodeBlock* of_rows = x.blocks + first;
  const CodeHalves* halves_of_rows = kGroups == 1 ? nullptr : x.halves + first;
  const auto bias = [&](int m, int g) ESP_INLINE {
    if constexpr (kGroups == 2) return halves_of_rows[m].minus_128_sums[g];
    return kFormat.bias == 8 ? of_rows[m].minus_8_sum : of_rows[m].minus_128_sum;
  };
  Outputs acc[kSums] = {};  // part by part
  Outputs total[kSums];     // of the segments before; nothing yet
  for (size_t first_block = 0; first_block < blocks; first_block += kFormat.blocks, unit += kUnit) {
    if (first_block % kProductSegmentBlocks == 0 && first_block > 0) [[unlikely]] {
      end_segment(acc, total, first_block == kProductSegmentBlocks);
    }
    const unsigned char* at_scales = unit + panel_scales_at(kType);
    if constexpr (kAhead > 0) {
      ESP_UNROLL for (size_t i = 0; i < kUnit - kFormat.blocks * kCodes; i += 64) {
        __builtin_prefetch(at_scales + kAhead + i);
      }
    }
    GroupScale of_unit[kParts];
    const unsigned char* steps[kParts];
    ESP_UNROLL for (int p = 0; p < kParts; ++p) {
      const size_t at = kOutputs * (part + static_cast<size_t>(p));
      const auto* halves = reinterpret_cast<const uint16_t*>(at_scales) + at;
      of_unit[p] = {load_scales(halves, kFormat.bf16_scales), splat_outputs(0.0F)};
      if constexpr (kFormat.shift > 0) {
        of_unit[p].d = mul(of_unit[p].d, splat_outputs(1.0F / (1 << kFormat.shift)));
      }
      if constexpr (kFormat.minima) of_unit[p].minimum = load_scales(halves + kPanelRows, false);
      steps[p] = at_scales + (kFormat.minima ? 4 : 2) * kPanelRows + at;
    }
    const unsigned char* codes = unit + panel_codes_at(kType) + 4 * kOutputs * part;
    for (size_t b = 0; b < kFormat.blocks; ++b, codes += kCodes) {
      if constexpr (kAhead > 0) {
        ESP_UNROLL for (size_t i = 0; i < kCodes; i += 64) __builtin_prefetch(codes + kAhead + i);
      }
      const auto one_part = [&]<int kPart>() ESP_INLINE {
        const auto scales = [&](int g) ESP_INLINE {
          GroupScale scale = of_unit[kPart];
          if constexpr (kFormat.blocks > 1) {
            const size_t set = b * kGroups + static_cast<size_t>(g);
            scale.d = mul(scale.d, load_steps(steps[kPart] + kPanelRows * set));
            if constexpr (kFormat.minima) {
              scale.minimum = mul(
                  scale.minimum,
                  load_steps(steps[kPart] + kPanelRows * (size_t{kFormat.blocks} * kGroups + set)));
            }
          }
          return scale;
        };
        const auto add = [&](int m, int g, Outputs sum, const GroupScale& scale) ESP_INLINE {
          Outputs& to = acc[kPart * kRows + m];
          to = fma(sum, mul(scale.d, splat_outputs(of_rows[m].scale)), to);
          if constexpr (kFormat.minima) {
            const float sum_of_codes =
                kGroups == 1 ? of_rows[m].scaled_sum : halves_of_rows[m].scaled_sums[g];
            to = fma(scale.minimum, splat_outputs(sum_of_codes), to);
          }
        };
        block_sums<kType, kRows>(codes + 4 * kOutputs * kPart, a, bias, scales, add);
      };
      one_part.template operator()<0>();
      if constexpr (kParts > 1) one_part.template operator()<1>();
      if constexpr (kParts > 2) {
        one_part.template operator()<2>();
        one_part.template operator()<3>();
      }
      static_assert(kParts == 1 || kParts == 2 || kParts == 4);
      a += kRowGroup * kBlock;
      of_rows += kRowGroup;
      if constexpr (kGroups == 2) halves_of_rows += kRowGroup;
    }
  }
  if (blocks > kProductSegmentBlocks) {
    ESP_UNROLL for (int i = 0; i < kSums; ++i) acc[i] = total[i] + acc[i];
  }
  ESP_UNROLL for (int i = 0; i < kSums; ++i) {
    float* to = out + static_cast<size_t>(i % kRows) * stride +
                kOutputs * (part + static_cast<size_t>(i / kRows));
    store_outputs(to, add_to ? load_outputs(to) + acc[i] : acc[i]);
  }
}

// Tiles that do not cross from one group of rows to the next.
template <PanelType kType>
void panel_rows(const unsigned char* panel, const QuantisedRows& x, size_t first_row, size_t rows,
                float* out, size_t stride, bool add_to) {
  const auto next = [&]<int kRows>(size_t& m, size_t& left) {
    if constexpr (kRows <= kMostRows<kType>) {
      for (; left >= kRows; left -= kRows, m += kRows) {
        // Few rows wait for the panel: in one pass over it, what comes is asked for all the time.
        constexpr int kParts = kPanelRows / kOutputs;
        constexpr int kTogether = kRows <= 2 ? kParts : 1;
        for (size_t part = 0; part < kParts; part += kTogether) {
          panel_tile<kType, kRows, kTogether>(panel, x, first_row + m, part, out + m * stride,
                                              stride, add_to);
        }
      }
    }
  };
  size_t m = 0;
  while (m < rows) {
    const size_t in_group = kRowGroup - (first_row + m) % kRowGroup;
    size_t left = rows - m < in_group ? rows - m : in_group;  // of the group's
    next.template operator()<16>(m, left);
    next.template operator()<8>(m, left);
    next.template operator()<6>(m, left);
    next.template operator()<4>(m, left);
    next.template operator()<2>(m, left);
    next.template operator()<1>(m, left);
  }
}

// From a panel's type to the function that is made for it.
void panel_product(PanelType type, const void* panel, const QuantisedRows& x, size_t first_row,
                   size_t rows, float* out, size_t stride, bool add_to) {
  const auto* bytes = static_cast<const unsigned char*>(panel);
  const auto of = [&]<PanelType kType>() {
    panel_rows<kType>(bytes, x, first_row, rows, out, stride, add_to);
  };
  switch (type) {
    case PanelType::kQ4_0:
      return of.template operator()<PanelType::kQ4_0>();
    case PanelType::kQ4_1:
      return of.template operator()<PanelType::kQ4_1>();
    case PanelType::kQ5_0:
      return of.template operator()<PanelType::kQ5_0>();
    case PanelType::kQ5_1:
      return of.template operator()<PanelType::kQ5_1>();
    case PanelType::kQ8_0:
      return of.template operator()<PanelType::kQ8_0>();
    case PanelType::kQ2_K:
      return of.template operator()<PanelType::kQ2_K>();
    case PanelType::kQ3_K:
      return of.template operator()<PanelType::kQ3_K>();
    case PanelType::kQ4_K:
      return of.template operator()<PanelType::kQ4_K>();
    case PanelType::kQ5_K:
      return of.template operator()<PanelType::kQ5_K>();
    case PanelType::kQ6_K:
      return of.template operator()<PanelType::kQ6_K>();
    case PanelType::kIQ4_NL:
      return of.template operator()<PanelType::kIQ4_NL>();
    case PanelType::kIQ4_XS:
      return of.template operator()<PanelType::kIQ4_XS>();
    case PanelType::kMXFP4:
      return of.template operator()<PanelType::kMXFP4>();
  }
}
