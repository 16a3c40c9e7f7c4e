// The kernels that are the same for every instruction set but for the type of 16 float lanes.
//
// Included by each kernel file inside its anonymous namespace, after it has defined `Lanes` and:
//   splat splat_half load load_first(p, n, fill) store store_first load_half load_half_first
//   load_bf16 load_bf16_first load_codes(of int8) store_half add sub mul div fma maximum(a > b ? a
//   : b) minimum(a < b ? a : b) sum_tree max_tree power(t) keep_from(x, bound, v)
// and the constants kScoreRegisters, kValueRegisters, kWideRows and kWideTiles. The order of
// operations here is the numerics contract. No include guard: a file includes it once.

#if defined(__clang__)
#define ESP_UNROLL _Pragma("clang loop unroll(full)")
#else
#define ESP_UNROLL _Pragma("GCC unroll 32")
#endif
#define ESP_INLINE __attribute__((always_inline))

constexpr float kInfinity = __builtin_inff();

// exp(x): x = n ln 2 + r with |r| <= ln 2 / 2, Taylor's polynomial of degree 7 in r (error below
// half an ulp of the rounding that follows), times 2^n. 0 below -87; clamped above 88.
inline Lanes exponential(Lanes x) {
  const Lanes clamped = maximum(splat(-87.0F), minimum(splat(88.0F), x));
  // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
  const Lanes shifted = fma(clamped, splat(0x1.715476p+0F), splat(12582912.0F));
  const Lanes n = sub(shifted, splat(12582912.0F));
  Lanes r = fma(n, splat(-0x1.62e430p-1F), clamped);
  r = fma(n, splat(0x1.05c610p-29F), r);
  Lanes p = splat(1.0F / 5040.0F);
  p = fma(p, r, splat(1.0F / 720.0F));
  p = fma(p, r, splat(1.0F / 120.0F));
  p = fma(p, r, splat(1.0F / 24.0F));
  p = fma(p, r, splat(1.0F / 6.0F));
  p = fma(p, r, splat(0.5F));
  p = fma(p, r, splat(1.0F));
  p = fma(p, r, splat(1.0F));
  return keep_from(x, -87.0F, mul(p, power(shifted)));
}

void rms_norm(const float* x, const float* weight, size_t n, float epsilon, float* out) {
  Lanes squares = splat(0.0F);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Lanes v = load(x + i);
    squares = fma(v, v, squares);
  }
  if (i < n) {
    const Lanes v = load_first(x + i, n - i, 0.0F);
    squares = fma(v, v, squares);
  }
  const float mean = sum_tree(squares) / static_cast<float>(n);
  const float factor = 1.0F / __builtin_sqrtf(mean + epsilon);
  for (size_t k = 0; k < n; ++k) out[k] = (x[k] * factor) * weight[k];
}

void swiglu(const float* gate, const float* up, size_t n, float* out) {
  for (size_t i = 0; i < n; i += kLanes) {
    const size_t rest = n - i < kLanes ? n - i : kLanes;
    const Lanes g = load_first(gate + i, rest, 0.0F);
    const Lanes e = exponential(sub(splat(0.0F), g));
    const Lanes silu = div(g, add(splat(1.0F), e));
    store_first(out + i, rest, mul(silu, load_first(up + i, rest, 0.0F)));
  }
}

// gelu(g) = g (1 + tanh(y)) / 2 = g / (1 + exp(-2 y)), y = sqrt(2 / pi) (g + 0.044715 g^3).
void geglu(const float* gate, const float* up, size_t n, float* out) {
  for (size_t i = 0; i < n; i += kLanes) {
    const size_t rest = n - i < kLanes ? n - i : kLanes;
    const Lanes g = load_first(gate + i, rest, 0.0F);
    const Lanes inner = fma(mul(g, g), splat(0.044715F), splat(1.0F));
    const Lanes e = exponential(mul(mul(g, inner), splat(-1.5957691216F)));
    const Lanes gelu = div(g, add(splat(1.0F), e));
    store_first(out + i, rest, mul(gelu, load_first(up + i, rest, 0.0F)));
  }
}

void rotate(float* x, const float* cosines, const float* sines, size_t pairs) {
  for (size_t i = 0; i < pairs; ++i) {
    const float a = x[2 * i];
    const float b = x[2 * i + 1];
    x[2 * i] = a * cosines[i] - b * sines[i];
    x[2 * i + 1] = a * sines[i] + b * cosines[i];
  }
}

void rotate_halves(float* x, const float* cosines, const float* sines, size_t pairs) {
  for (size_t i = 0; i < pairs; ++i) {
    const float a = x[i];
    const float b = x[i + pairs];
    x[i] = a * cosines[i] - b * sines[i];
    x[i + pairs] = a * sines[i] + b * cosines[i];
  }
}

void to_half(const float* x, size_t n, uint16_t* out) {
  for (size_t i = 0; i < n; i += kLanes) {
    const size_t rest = n - i < kLanes ? n - i : kLanes;
    uint16_t halves[kLanes];
    store_half(halves, load_first(x + i, rest, 0.0F));
    for (size_t k = 0; k < rest; ++k) out[i + k] = halves[k];
  }
}

void scale(const float* x, float factor, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) out[i] = x[i] * factor;
}

// tanh(y) = 1 - 2 / (1 + exp(2 y)).
void soft_cap(float* x, float cap, size_t n) {
  for (size_t i = 0; i < n; i += kLanes) {
    const size_t rest = n - i < kLanes ? n - i : kLanes;
    const Lanes y = div(load_first(x + i, rest, 0.0F), splat(cap));
    const Lanes e = exponential(add(y, y));
    const Lanes tanh = sub(splat(1.0F), div(splat(2.0F), add(splat(1.0F), e)));
    store_first(x + i, rest, mul(tanh, splat(cap)));
  }
}

// What K and V are read as: a type of the pool, or the floats that they were widened to.
enum class Read : unsigned char { kF16, kBF16, kQ8, kFloat };

// 16 numbers of a type without scales, and their bytes.
template <Read kType>
constexpr size_t kPlainBytes = kLanes*(kType == Read::kFloat ? sizeof(float) : sizeof(uint16_t));
template <Read kType>
inline Lanes load_plain(const unsigned char* p) {
  static_assert(kType != Read::kQ8);
  if constexpr (kType == Read::kFloat) {
    return load(reinterpret_cast<const float*>(p));
  } else if constexpr (kType == Read::kF16) {
    return load_half(reinterpret_cast<const uint16_t*>(p));
  } else {
    return load_bf16(reinterpret_cast<const uint16_t*>(p));
  }
}

// Widening K and V takes the ports that products need, so for more than kWideRows rows it is done
// once for all of them. These pass by kWideRows / 2 to kWideRows at a time, as evenly as can be.
template <int kRows, class F>
ESP_INLINE inline void pass_of(size_t count, size_t first, const F& f) {
  if (count == kRows) {
    f.template operator()<kRows>(first);
  } else if constexpr (kRows > 1 && kRows > kWideRows / 2) {
    pass_of<kRows - 1>(count, first, f);
  }
}
template <class F>
inline void each_pass(size_t rows, const F& f) {
  size_t passes = (rows + kWideRows - 1) / kWideRows;
  for (size_t first = 0; first < rows; --passes) {
    const size_t count = (rows - first + passes - 1) / passes;
    pass_of<kWideRows>(count, first, f);
    first += count;
  }
}

// One accumulator per score, over the dimensions in order.
template <Read kType, int kRows, int kTiles>
inline void score_block(const unsigned char* const* tiles, size_t width, const float* q,
                        size_t q_stride, float* scores, size_t score_stride) {
  Lanes acc[kRows][kTiles];
  ESP_UNROLL for (int r = 0; r < kRows; ++r) {
    ESP_UNROLL for (int t = 0; t < kTiles; ++t) acc[r][t] = splat(0.0F);
  }
  // A pointer for four rows: with one a row, most would be loaded from the stack at each step.
  const float* rows[(kRows + 3) / 4];
  ESP_UNROLL for (int r = 0; r < kRows; r += 4) {
    rows[r / 4] = q + static_cast<size_t>(r) * q_stride;
  }
  for (size_t d = 0; d < width; ++d) {
    Lanes k[kTiles];
    ESP_UNROLL for (int t = 0; t < kTiles; ++t) {
      k[t] = load_plain<kType>(tiles[t] + d * kPlainBytes<kType>);
    }
    ESP_UNROLL for (int r = 0; r < kRows; ++r) {
      const Lanes value = splat(rows[r / 4][static_cast<size_t>(r % 4) * q_stride]);
      ESP_UNROLL for (int t = 0; t < kTiles; ++t) acc[r][t] = fma(k[t], value, acc[r][t]);
    }
    ESP_UNROLL for (int r = 0; r < kRows; r += 4)++ rows[r / 4];
  }
  ESP_UNROLL for (int r = 0; r < kRows; ++r) {
    ESP_UNROLL for (int t = 0; t < kTiles; ++t) {
      store(scores + static_cast<size_t>(r) * score_stride + static_cast<size_t>(t) * kTileTokens,
            acc[r][t]);
    }
  }
}

inline void fetch_tile(const unsigned char* tile, size_t width) {
  for (size_t i = 0; i < 2 * kTileTokens * width; i += 64) __builtin_prefetch(tile + i);
}

// Asks for tiles while those before them are multiplied.
class Fetches {
 public:
  Fetches(const unsigned char* const* tiles, size_t tile_count, const unsigned char* const* soon,
          size_t soon_count, size_t width)
      : tiles_(tiles),
        soon_(soon),
        tile_count_(tile_count),
        soon_count_(soon_count),
        width_(width) {}
  // Tiles [t, t + count) come next.
  void before(size_t t, size_t count) {
    for (size_t i = t + count; i < tile_count_ && i < t + 2 * count; ++i) {
      fetch_tile(tiles_[i], width_);
    }
    for (; fetched_ < soon_count_ * (t + count) / tile_count_; ++fetched_) {
      fetch_tile(soon_[fetched_], width_);
    }
  }

 private:
  const unsigned char* const* tiles_;
  const unsigned char* const* soon_;
  size_t tile_count_, soon_count_, width_;
  size_t fetched_ = 0;
};

template <Read kType, int kRows>
inline void score_rows(const unsigned char* const* tiles, size_t tile_count, Fetches fetches,
                       size_t width, const float* q, size_t q_stride, float* scores,
                       size_t score_stride) {
  constexpr int kFit = kScoreRegisters / kRows;
  constexpr int kTiles = kFit < 1 ? 1 : kFit > 8 ? 8 : kFit;
  size_t t = 0;
  const auto next = [&]<int kCount>() {
    for (; t + kCount <= tile_count; t += kCount) {
      fetches.before(t, kCount);
      score_block<kType, kRows, kCount>(tiles + t, width, q, q_stride, scores + t * kTileTokens,
                                        score_stride);
    }
  };
  next.template operator()<kTiles>();
  if constexpr (kTiles > 4) next.template operator()<4>();
  if constexpr (kTiles > 2) next.template operator()<2>();
  if constexpr (kTiles > 1) next.template operator()<1>();
}

// The most dimensions of K that are widened: 16 KiB a tile.
constexpr size_t kWideWidth = 256;

template <Read kType>
void scores_of_many(const unsigned char* const* tiles, size_t tile_count, Fetches fetches,
                    size_t width, const float* q, size_t q_stride, size_t rows, float* out,
                    size_t score_stride) {
  alignas(64) float wide[kWideTiles][kWideWidth * kTileTokens];
  const unsigned char* wide_tiles[kWideTiles];
  for (int i = 0; i < kWideTiles; ++i) {
    wide_tiles[i] = reinterpret_cast<const unsigned char*>(wide[i]);
  }
  size_t t = 0;
  const auto next = [&]<int kCount>() {
    for (; t + kCount <= tile_count; t += kCount) {
      fetches.before(t, kCount);
      for (int i = 0; i < kCount; ++i) {
        const unsigned char* from = tiles[t + static_cast<size_t>(i)];
        for (size_t d = 0; d < width; ++d) {
          store(wide[i] + d * kTileTokens, load_plain<kType>(from + d * kPlainBytes<kType>));
        }
      }
      each_pass(rows, [&]<int kRows>(size_t first) ESP_INLINE {
        score_block<Read::kFloat, kRows, kCount>(wide_tiles, width, q + first * q_stride, q_stride,
                                                 out + first * score_stride + t * kTileTokens,
                                                 score_stride);
      });
    }
  };
  next.template operator()<kWideTiles>();
  if constexpr (kWideTiles > 1) next.template operator()<1>();
}

template <Read kType>
void scores_of(const unsigned char* const* tiles, size_t tile_count,
               const unsigned char* const* soon, size_t soon_count, size_t width, const float* q,
               size_t q_stride, size_t rows, float* out, size_t score_stride) {
  Fetches fetches(tiles, tile_count, soon, soon_count, width);
  if constexpr (kWideRows > 1) {
    if (rows > kWideRows && width <= kWideWidth) {
      return scores_of_many<kType>(tiles, tile_count, fetches, width, q, q_stride, rows, out,
                                   score_stride);
    }
  }
  size_t r = 0;
  const auto next = [&]<int kRows>() {
    while (rows - r >= kRows) {
      score_rows<kType, kRows>(tiles, tile_count, fetches, width, q + r * q_stride, q_stride,
                               out + r * score_stride, score_stride);
      r += kRows;
      fetches = Fetches(tiles, tile_count, soon, 0, width);  // they are on their way
    }
  };
  if constexpr (kScoreRegisters >= 12) next.template operator()<12>();
  if constexpr (kScoreRegisters >= 6) next.template operator()<6>();
  if constexpr (kScoreRegisters >= 4) next.template operator()<4>();
  if constexpr (kScoreRegisters >= 3) next.template operator()<3>();
  next.template operator()<1>();
}

void scores(KvType type, const void* const* tiles, size_t tile_count, const void* const* soon,
            size_t soon_count, size_t width, const float* q, size_t q_stride, size_t rows,
            float* out, size_t score_stride) {
  const auto of = type == KvType::kBF16 ? scores_of<Read::kBF16> : scores_of<Read::kF16>;
  of(reinterpret_cast<const unsigned char* const*>(tiles), tile_count,
     reinterpret_cast<const unsigned char* const*>(soon), soon_count, width, q, q_stride, rows, out,
     score_stride);
}

float weights_of(float* x, size_t count, float shift) {
  const size_t whole = count / kLanes * kLanes;
  Lanes total = splat(0.0F);
  for (size_t i = 0; i < whole; i += kLanes) {
    const Lanes e = exponential(sub(load(x + i), splat(shift)));
    total = add(total, e);
    store(x + i, e);
  }
  if (whole < count) {
    const Lanes tail = load_first(x + whole, count - whole, -kInfinity);
    const Lanes e = exponential(sub(tail, splat(shift)));
    total = add(total, e);
    store(x + whole, e);
  }
  return sum_tree(total);
}

// A token's row of V: its bytes, and where those of a column begin (of a multiple of 32, in q8).
template <Read kType>
inline size_t value_bytes(size_t width) {
  if constexpr (kType != Read::kQ8) return kPlainBytes<kType> / kLanes * width;
  return (width + kBlock - 1) / kBlock * kValueBlockBytes;
}
// Columns [16 * chunk, 16 * chunk + 16) of such a row.
template <Read kType>
inline Lanes load_values(const unsigned char* row, size_t chunk) {
  if constexpr (kType != Read::kQ8) return load_plain<kType>(row + chunk * kPlainBytes<kType>);
  const unsigned char* block = row + chunk / 2 * kValueBlockBytes;
  uint16_t step;
  __builtin_memcpy(&step, block, sizeof step);
  return mul(load_codes(block + sizeof step + chunk % 2 * kLanes), splat_half(step));
}

// One accumulator per output, over the tokens in order.
template <Read kType, int kRows, int kChunks>
inline void value_block(const unsigned char* const* tiles, size_t count, size_t row_bytes,
                        const float* weights, size_t weight_stride, float* out, size_t out_stride) {
  Lanes acc[kRows][kChunks];
  ESP_UNROLL for (int r = 0; r < kRows; ++r) {
    ESP_UNROLL for (int c = 0; c < kChunks; ++c) {
      acc[r][c] = load(out + static_cast<size_t>(r) * out_stride + static_cast<size_t>(c) * kLanes);
    }
  }
  const float* rows[(kRows + 3) / 4];  // as score_block has them
  ESP_UNROLL for (int r = 0; r < kRows; r += 4) {
    rows[r / 4] = weights + static_cast<size_t>(r) * weight_stride;
  }
  for (size_t start = 0; start < count; start += kTileTokens) {
    const unsigned char* v = tiles[start / kTileTokens];
    const size_t tokens = count - start < kTileTokens ? count - start : kTileTokens;
    for (size_t j = 0; j < tokens; ++j, v += row_bytes) {
      Lanes value[kChunks];
      ESP_UNROLL for (int c = 0; c < kChunks; ++c) {
        value[c] = load_values<kType>(v, static_cast<size_t>(c));
      }
      ESP_UNROLL for (int r = 0; r < kRows; ++r) {
        const Lanes w = splat(rows[r / 4][static_cast<size_t>(r % 4) * weight_stride]);
        ESP_UNROLL for (int c = 0; c < kChunks; ++c) acc[r][c] = fma(w, value[c], acc[r][c]);
      }
      ESP_UNROLL for (int r = 0; r < kRows; r += 4)++ rows[r / 4];
    }
  }
  ESP_UNROLL for (int r = 0; r < kRows; ++r) {
    ESP_UNROLL for (int c = 0; c < kChunks; ++c) {
      store(out + static_cast<size_t>(r) * out_stride + static_cast<size_t>(c) * kLanes, acc[r][c]);
    }
  }
}

// The last `n` columns of a head whose width is no multiple of 16.
template <Read kType>
inline void value_tail(const unsigned char* const* tiles, size_t count, size_t row_bytes,
                       size_t chunk, size_t n, const float* weights, float* out) {
  Lanes acc = load_first(out, n, 0.0F);
  for (size_t j = 0; j < count; ++j) {
    const unsigned char* v = tiles[j / kTileTokens] + j % kTileTokens * row_bytes;
    Lanes value;
    if constexpr (kType == Read::kQ8) {
      value = load_values<kType>(v, chunk);  // its blocks are whole
    } else {
      const uint16_t* from = reinterpret_cast<const uint16_t*>(v) + chunk * kLanes;
      value = kType == Read::kF16 ? load_half_first(from, n) : load_bf16_first(from, n);
    }
    acc = fma(splat(weights[j]), value, acc);
  }
  store_first(out, n, acc);
}

template <Read kType, int kRows>
inline void value_rows(const unsigned char* const* tiles, size_t count, size_t width,
                       const float* weights, size_t weight_stride, float* out, size_t out_stride) {
  const size_t row_bytes = value_bytes<kType>(width);
  // The block's columns start at `column` of every V row: shift the tiles' origins instead.
  const unsigned char* shifted[kSegmentTokens / kTileTokens];
  const size_t tile_count = (count + kTileTokens - 1) / kTileTokens;
  size_t column = 0;
  const auto next = [&]<int kChunks>() {
    constexpr size_t kWide = kChunks * kLanes;
    for (; column + kWide <= width; column += kWide) {
      // Blocks of more than one chunk come first, so in q8 this is a multiple of 32.
      for (size_t t = 0; t < tile_count; ++t) shifted[t] = tiles[t] + value_bytes<kType>(column);
      value_block<kType, kRows, kChunks>(shifted, count, row_bytes, weights, weight_stride,
                                         out + column, out_stride);
    }
  };
  if constexpr (kValueRegisters / kRows >= 4) next.template operator()<4>();
  if constexpr (kValueRegisters / kRows >= 2) next.template operator()<2>();
  next.template operator()<1>();
  if (column < width) {
    for (int r = 0; r < kRows; ++r) {
      value_tail<kType>(tiles, count, row_bytes, column / kLanes, width - column,
                        weights + static_cast<size_t>(r) * weight_stride,
                        out + static_cast<size_t>(r) * out_stride + column);
    }
  }
}

// The tokens whose V are widened at a time.
constexpr size_t kWideTokens = 4 * kTileTokens;

template <Read kType>
void values_of_many(const unsigned char* const* tiles, size_t count, size_t width,
                    const float* weights, size_t weight_stride, size_t rows, float* out,
                    size_t out_stride) {
  alignas(64) float wide[kWideTokens * kWideTiles * kLanes];
  const unsigned char* wide_tiles[kWideTokens / kTileTokens];
  const size_t row_bytes = value_bytes<kType>(width);
  for (size_t start = 0; start < count; start += kWideTokens) {
    const size_t tokens = count - start < kWideTokens ? count - start : kWideTokens;
    const unsigned char* const* from = tiles + start / kTileTokens;
    size_t column = 0;
    const auto next = [&]<int kChunks>() {
      constexpr size_t kWide = kChunks * kLanes;
      for (size_t i = 0; i < kWideTokens / kTileTokens; ++i) {
        wide_tiles[i] = reinterpret_cast<const unsigned char*>(wide + i * kTileTokens * kWide);
      }
      for (; column + kWide <= width; column += kWide) {
        for (size_t j = 0; j < tokens; ++j) {
          const unsigned char* v = from[j / kTileTokens] + j % kTileTokens * row_bytes;
          ESP_UNROLL for (size_t c = 0; c < kChunks; ++c) {
            store(wide + j * kWide + c * kLanes, load_values<kType>(v, column / kLanes + c));
          }
        }
        each_pass(rows, [&]<int kRows>(size_t first) ESP_INLINE {
          value_block<Read::kFloat, kRows, kChunks>(
              wide_tiles, tokens, kWide * sizeof(float), weights + first * weight_stride + start,
              weight_stride, out + first * out_stride + column, out_stride);
        });
      }
    };
    next.template operator()<kWideTiles>();
    if constexpr (kWideTiles > 1) next.template operator()<1>();
    for (size_t r = 0; column < width && r < rows; ++r) {
      value_tail<kType>(from, tokens, row_bytes, column / kLanes, width - column,
                        weights + r * weight_stride + start, out + r * out_stride + column);
    }
  }
}

template <Read kType>
void values_of(const unsigned char* const* tiles, size_t count, size_t width, const float* weights,
               size_t weight_stride, size_t rows, float* out, size_t out_stride) {
  if constexpr (kWideRows > 1) {
    if (rows > kWideRows) {
      return values_of_many<kType>(tiles, count, width, weights, weight_stride, rows, out,
                                   out_stride);
    }
  }
  size_t r = 0;
  const auto next = [&]<int kRows>() {
    while (rows - r >= kRows) {
      value_rows<kType, kRows>(tiles, count, width, weights + r * weight_stride, weight_stride,
                               out + r * out_stride, out_stride);
      r += kRows;
    }
  };
  if constexpr (kValueRegisters >= 24) next.template operator()<12>();
  if constexpr (kValueRegisters >= 24) next.template operator()<6>();
  if constexpr (kValueRegisters >= 6) next.template operator()<3>();
  next.template operator()<1>();
}

void values(KvType type, const void* const* tiles, size_t count, size_t width, const float* weights,
            size_t weight_stride, size_t rows, float* out, size_t out_stride) {
  const auto of = type == KvType::kQ8     ? values_of<Read::kQ8>
                  : type == KvType::kBF16 ? values_of<Read::kBF16>
                                          : values_of<Read::kF16>;
  of(reinterpret_cast<const unsigned char* const*>(tiles), count, width, weights, weight_stride,
     rows, out, out_stride);
}

float exponential_of(float x) {
  float lanes[kLanes];
  store(lanes, exponential(splat(x)));
  return lanes[0];
}

void merge(float* top, float* sum, float* carried, float later_top, float later_sum,
           const float* later, size_t width) {
  const float shift = *top > later_top ? *top : later_top;
  const float before = exponential_of(*top - shift);
  const float after = exponential_of(later_top - shift);
  *sum = *sum * before + later_sum * after;
  for (size_t i = 0; i < width; ++i) carried[i] = carried[i] * before + later[i] * after;
  *top = shift;
}

float maximum_of(const float* x, size_t n) {
  Lanes m = splat(-kInfinity);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) m = maximum(load(x + i), m);
  if (i < n) m = maximum(load_first(x + i, n - i, -kInfinity), m);
  return max_tree(m);
}

float sum_exp(const float* x, size_t n, float shift) {
  Lanes total = splat(0.0F);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    total = add(total, exponential(sub(load(x + i), splat(shift))));
  }
  if (i < n) {
    const Lanes tail = load_first(x + i, n - i, -kInfinity);
    total = add(total, exponential(sub(tail, splat(shift))));
  }
  return sum_tree(total);
}

void exponentials(const float* x, size_t n, float shift, float factor, float* out) {
  for (size_t i = 0; i < n; i += kLanes) {
    const size_t rest = n - i < kLanes ? n - i : kLanes;
    const Lanes v = load_first(x + i, rest, shift);
    store_first(out + i, rest, exponential(mul(sub(v, splat(shift)), splat(factor))));
  }
}

// fp32 activations against F32, F16 and BF16 weights: lane k mod 16, a segment's columns in order,
// then the segments lane by lane, then the tree.
template <DenseType kType>
inline Lanes load_weights(const unsigned char* row, size_t column) {
  if constexpr (kType == DenseType::kF32) return load(reinterpret_cast<const float*>(row) + column);
  const uint16_t* halves = reinterpret_cast<const uint16_t*>(row) + column;
  if constexpr (kType == DenseType::kF16) return load_half(halves);
  return load_bf16(halves);
}
template <DenseType kType>
inline Lanes load_weights_first(const unsigned char* row, size_t column, size_t n) {
  if constexpr (kType == DenseType::kF32) {
    return load_first(reinterpret_cast<const float*>(row) + column, n, 0.0F);
  }
  const uint16_t* halves = reinterpret_cast<const uint16_t*>(row) + column;
  if constexpr (kType == DenseType::kF16) return load_half_first(halves, n);
  return load_bf16_first(halves, n);
}

template <DenseType kType, int kRows>
inline void dense_rows(const unsigned char* weights, size_t columns, const float* x,
                       size_t x_stride, float* out, size_t stride, bool add_to) {
  Lanes total[kRows];
  ESP_UNROLL for (int m = 0; m < kRows; ++m) total[m] = splat(0.0F);
  for (size_t begin = 0; begin < columns; begin += kProductSegment) {
    const size_t end = columns - begin < kProductSegment ? columns : begin + kProductSegment;
    Lanes acc[kRows];
    ESP_UNROLL for (int m = 0; m < kRows; ++m) acc[m] = splat(0.0F);
    size_t k = begin;
    for (; k + kLanes <= end; k += kLanes) {
      const Lanes w = load_weights<kType>(weights, k);
      ESP_UNROLL for (int m = 0; m < kRows; ++m) {
        acc[m] = fma(w, load(x + static_cast<size_t>(m) * x_stride + k), acc[m]);
      }
    }
    if (k < end) {
      const Lanes w = load_weights_first<kType>(weights, k, end - k);
      ESP_UNROLL for (int m = 0; m < kRows; ++m) {
        const float* row = x + static_cast<size_t>(m) * x_stride + k;
        acc[m] = fma(w, load_first(row, end - k, 0.0F), acc[m]);
      }
    }
    ESP_UNROLL for (int m = 0; m < kRows; ++m) {
      total[m] = begin == 0 ? acc[m] : add(total[m], acc[m]);
    }
  }
  for (int m = 0; m < kRows; ++m) {
    float& to = out[static_cast<size_t>(m) * stride];
    const float dot = sum_tree(total[m]);
    to = add_to ? to + dot : dot;
  }
}

template <DenseType kType>
void dense_of(const unsigned char* weights, size_t weight_rows, size_t columns, const float* x,
              size_t x_stride, size_t rows, float* out, size_t stride, bool add_to) {
  const size_t row_bytes = columns * (kType == DenseType::kF32 ? 4 : 2);
  for (size_t n = 0; n < weight_rows; ++n, weights += row_bytes) {
    size_t m = 0;
    for (; m + 4 <= rows; m += 4) {
      dense_rows<kType, 4>(weights, columns, x + m * x_stride, x_stride, out + m * stride + n,
                           stride, add_to);
    }
    for (; m < rows; ++m) {
      dense_rows<kType, 1>(weights, columns, x + m * x_stride, x_stride, out + m * stride + n,
                           stride, add_to);
    }
  }
}

void dense_product(DenseType type, const void* weights, size_t weight_rows, size_t columns,
                   const float* x, size_t x_stride, size_t rows, float* out, size_t stride,
                   bool add_to) {
  const auto* bytes = static_cast<const unsigned char*>(weights);
  switch (type) {
    case DenseType::kF32:
      return dense_of<DenseType::kF32>(bytes, weight_rows, columns, x, x_stride, rows, out, stride,
                                       add_to);
    case DenseType::kF16:
      return dense_of<DenseType::kF16>(bytes, weight_rows, columns, x, x_stride, rows, out, stride,
                                       add_to);
    case DenseType::kBF16:
      return dense_of<DenseType::kBF16>(bytes, weight_rows, columns, x, x_stride, rows, out, stride,
                                        add_to);
  }
}

// The scale of a block of activations, from the largest magnitude's bits. Bits compare as the
// magnitudes do, with NaN above infinity: a block that holds either gets the scale NaN, so that it
// shows in every output. Blocks below 2^-100 count as zero: 127 / maximum must not overflow.
struct BlockScale {
  float scale;
  float inverse;
};
inline BlockScale block_scale(uint32_t top_bits) {
  if (top_bits >= 0x7F800000U) return {__builtin_nanf(""), 0.0F};
  float top;
  __builtin_memcpy(&top, &top_bits, sizeof top);
  if (top < 0x1p-100F) return {0.0F, 0.0F};
  return {top / 127.0F, 127.0F / top};
}

void quantise(const float* x, size_t blocks, const QuantisedRows& out, size_t row, size_t first) {
  size_t at = code_place(row, first, out.columns / kBlock);
  for (size_t b = 0; b < blocks; ++b, x += kBlock, at += kRowGroup) {
    int8_t* codes = out.codes + at * kBlock;
    const BlockScale s = block_scale(largest_magnitude_bits(x));
    HalfSums sums{0, 0};
    // A scale of NaN or 0 has the inverse 0, which must not meet an infinity.
    if (s.inverse != 0.0F) {
      sums = round_to_codes(x, s.inverse, codes);
    } else {
      __builtin_memset(codes, 0, kBlock);
    }
    const int32_t sum = sums.first + sums.second;
    out.blocks[at] = {s.scale, s.scale * static_cast<float>(sum), -8 * sum, -128 * sum};
    if (out.halves == nullptr) continue;
    out.halves[at] = {
        {s.scale * static_cast<float>(sums.first), s.scale * static_cast<float>(sums.second)},
        {-128 * sums.first, -128 * sums.second}};
  }
}
