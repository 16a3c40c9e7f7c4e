// The kernels of attention: scores, weights, values, and the merging of segments.
//
// Included by kernels_inl.h, which has `exponential`, with the `Lanes` of an instruction set and
// its constants kScoreRegisters, kValueRegisters, kWideRows and kWideTiles: how many Lanes a block
// of scores and one of values accumulate in, and the rows and tiles (or 16 columns) of those blocks
// that read what was widened. The order of operations here is the numerics contract.
// No include guard: a file includes it once.

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
  constexpr int kLeast = kWideRows < 2 ? 1 : kWideRows / 2;
  if (count == kRows) {
    f.template operator()<kRows>(first);
  } else if constexpr (kRows > kLeast) {
    pass_of<kRows - 1>(count, first, f);
  }
}
inline size_t passes_of(size_t rows) { return (rows + kWideRows - 1) / kWideRows; }
template <class F>
inline void each_pass(size_t rows, const F& f) {
  size_t passes = passes_of(rows);
  for (size_t first = 0; first < rows; --passes) {
    const size_t count = (rows - first + passes - 1) / passes;
    pass_of<kWideRows>(count, first, f);
    first += count;
  }
}

inline void fetch_tile(const unsigned char* tile, size_t width) {
  for (size_t i = 0; i < 2 * kTileTokens * width; i += 64) __builtin_prefetch(tile + i);
}

// Which tiles are to be asked for while those before them are multiplied.
class Fetches {
 public:
  Fetches(const unsigned char* const* tiles, size_t tile_count, const unsigned char* const* soon,
          size_t soon_count)
      : tiles_(tiles), soon_(soon), tile_count_(tile_count), soon_count_(soon_count) {}
  // Tiles [t, t + count) come next.
  void before(size_t t, size_t count) {
    if (next_ < t + count) next_ = t + count;
    end_ = t + 2 * count < tile_count_ ? t + 2 * count : tile_count_;
    soon_end_ = soon_count_ * (t + count) / tile_count_;
  }
  size_t due() const { return (next_ < end_ ? end_ - next_ : 0) + soon_end_ - soon_next_; }
  const unsigned char* take() { return next_ < end_ ? tiles_[next_++] : soon_[soon_next_++]; }

 private:
  const unsigned char* const* tiles_;
  const unsigned char* const* soon_;
  size_t tile_count_, soon_count_;
  size_t next_ = 0, end_ = 0, soon_next_ = 0, soon_end_ = 0;
};

// One accumulator per score, over the dimensions in order. The tiles `asked` come nearer meanwhile:
// to ask for many lines at once is to wait for them.
template <Read kType, int kRows, int kTiles, int kAsked = 0>
inline void score_block(const unsigned char* const* tiles, size_t width, const float* q,
                        size_t q_stride, float* scores, size_t score_stride,
                        const unsigned char* const* asked = nullptr) {
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
    // (Each line twice: once, by turns of two tiles, was no faster.)
    ESP_UNROLL for (int i = 0; i < kAsked; ++i) {
      __builtin_prefetch(asked[i] + d * 2 * kTileTokens);
    }
    ESP_UNROLL for (int r = 0; r < kRows; ++r) {
      const Lanes value = splat(rows[r / 4][static_cast<size_t>(r % 4) * q_stride]);
      ESP_UNROLL for (int t = 0; t < kTiles; ++t) acc[r][t] = fma(k[t], value, acc[r][t]);
    }
    ESP_UNROLL for (int r = 0; r < kRows; r += 4) { rows[r / 4] += 1; }
  }
  ESP_UNROLL for (int r = 0; r < kRows; ++r) {
    ESP_UNROLL for (int t = 0; t < kTiles; ++t) {
      store(scores + static_cast<size_t>(r) * score_stride + static_cast<size_t>(t) * kTileTokens,
            acc[r][t]);
    }
  }
}

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
      while (fetches.due() > 0) fetch_tile(fetches.take(), width);
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
  constexpr int kAsked = 2;  // tiles, by a pass
  alignas(64) float wide[kWideTiles][kWideWidth * kTileTokens];
  const unsigned char* wide_tiles[kWideTiles];
  for (int i = 0; i < kWideTiles; ++i) {
    wide_tiles[i] = reinterpret_cast<const unsigned char*>(wide[i]);
  }
  size_t t = 0;
  const auto next = [&]<int kCount>() {
    for (; t + kCount <= tile_count; t += kCount) {
      fetches.before(t, kCount);
      size_t passes = passes_of(rows);
      while (fetches.due() > kAsked * passes) fetch_tile(fetches.take(), width);
      for (int i = 0; i < kCount; ++i) {
        const unsigned char* from = tiles[t + static_cast<size_t>(i)];
        for (size_t d = 0; d < width; ++d) {
          store(wide[i] + d * kTileTokens, load_plain<kType>(from + d * kPlainBytes<kType>));
        }
      }
      each_pass(rows, [&]<int kRows>(size_t first) ESP_INLINE {
        const unsigned char* asked[kAsked];
        const size_t now = (fetches.due() + passes - 1) / passes;
        --passes;
        for (size_t i = 0; i < kAsked; ++i) asked[i] = i < now ? fetches.take() : wide_tiles[0];
        score_block<Read::kFloat, kRows, kCount, kAsked>(
            wide_tiles, width, q + first * q_stride, q_stride,
            out + first * score_stride + t * kTileTokens, score_stride, asked);
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
  Fetches fetches(tiles, tile_count, soon, soon_count);
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
      fetches = Fetches(tiles, tile_count, soon, 0);  // they are on their way
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
    const Lanes e = exponential_to_one(sub(load(x + i), splat(shift)));
    total = add(total, e);
    store(x + i, e);
  }
  if (whole < count) {
    const Lanes tail = load_first(x + whole, count - whole, -kInfinity);
    const Lanes e = exponential_to_one(sub(tail, splat(shift)));
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
      ESP_UNROLL for (int r = 0; r < kRows; r += 4) { rows[r / 4] += 1; }
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
  next.template operator()<2>();
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
constexpr size_t kWideTokens = 8 * kTileTokens;

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
        float* to = wide;
        for (size_t j = 0; j < tokens;) {
          const unsigned char* v = from[j / kTileTokens];
          const size_t end = tokens - j < kTileTokens ? tokens : j + kTileTokens;
          for (; j < end; ++j, v += row_bytes, to += kWide) {
            ESP_UNROLL for (size_t c = 0; c < kChunks; ++c) {
              store(to + c * kLanes, load_values<kType>(v, column / kLanes + c));
            }
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
