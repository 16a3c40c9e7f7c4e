// From a panel's type to the function that is made for it. Included by a vector kernel file inside
// its anonymous namespace, after it has defined `panel_rows<type>`. No include guard: a file
// includes it once.

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
