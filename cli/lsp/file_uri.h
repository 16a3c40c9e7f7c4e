// file: URIs (RFC 8089) and the paths that they name.
#pragma once

#include <string>
#include <string_view>

namespace espalier::cli::lsp {

/// The path of a file: URI, normalised; the URI itself where it is of another kind (a buffer that
/// was never saved), which then serves as the name.
[[nodiscard]] std::string path_of_uri(std::string_view uri);
/// The file: URI of an absolute path; anything else is given back as it is.
[[nodiscard]] std::string uri_of_path(std::string_view path);

}  // namespace espalier::cli::lsp
