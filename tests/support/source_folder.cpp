#include "tests/support/source_folder.h"

namespace espalier::testing {

std::string source_folder() { return ESPALIER_SOURCE_DIR; }

}  // namespace espalier::testing
