// One pull of one catalogue entry into a folder: download, join, verify, rename (see
// model_store.h).
#pragma once

#include <string>

#include "base/result.h"
#include "base/system.h"
#include "runtime/store/catalogue.h"
#include "runtime/store/http.h"
#include "runtime/store/model_store.h"

namespace espalier::runtime {

/// The path of the file, which is then whole. `http` is used only where the file or one of its
/// wheels is missing.
[[nodiscard]] Result<std::string> pull_model(System& system, Http& http, const std::string& folder,
                                             const CatalogueEntry& entry,
                                             const PullCallback& progress);

}  // namespace espalier::runtime
