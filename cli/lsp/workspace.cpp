#include "cli/lsp/workspace.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "cli/lsp/diagnostics.h"
#include "cli/lsp/file_uri.h"

namespace espalier::cli::lsp {
namespace {

// Each change is made in the whole text.
constexpr std::size_t kMaxChangedBytes = std::size_t{1} << 33;

bool uses(const dsl::Analysis& analysis, const std::string& path) {
  const auto& sources = analysis.program->sources;
  return std::any_of(sources.begin(), sources.end(),
                     [&](const dsl::Source& source) { return source.name() == path; });
}

}  // namespace

Status Workspace::open(const std::string& uri, std::optional<std::int64_t> version,
                       std::string text) {
  if (text.size() > kMaxDocument)
    return fail(ErrorCode::kLimit, "a document of " + std::to_string(text.size()) +
                                       " bytes: the limit is " + std::to_string(kMaxDocument));
  const std::string path = path_of_uri(uri);
  if (documents_.count(path) == 0 && documents_.size() >= kMaxDocuments)
    return fail(ErrorCode::kLimit,
                "more than " + std::to_string(kMaxDocuments) + " open documents");
  documents_[path] = {uri, path, std::move(text), version, nullptr, false};
  forget_files();  // others may have read it from disk, or found it absent
  return {};
}

Status Workspace::change(const std::string& uri, std::optional<std::int64_t> version,
                         const In& changes) {
  const auto known = documents_.find(path_of_uri(uri));
  if (known == documents_.end()) return fail(ErrorCode::kNotFound, "'" + uri + "' is not open");
  if (!changes.is_array()) return fail(ErrorCode::kInvalid, "contentChanges is no list");
  std::string text = known->second.text;
  if (changes.size() > kMaxChangedBytes / (text.size() + 1))
    return fail(ErrorCode::kLimit, std::to_string(changes.size()) + " changes of one document");
  for (const In& change : changes) {
    const auto written = text_in(change, "text");
    if (!written) return fail(ErrorCode::kInvalid, "a change without a text");
    if (const In* range = member(change, "range"); range != nullptr && !range->is_null()) {
      const auto start = position_in(member(*range, "start"));
      const auto end = position_in(member(*range, "end"));
      if (!start || !end) return fail(ErrorCode::kInvalid, "a change's range is none");
      const dsl::Source source(known->first, std::move(text));
      const TextPositions positions(source, encoding_);
      const std::uint32_t from = positions.offset(*start);
      const std::uint32_t to = std::max(from, positions.offset(*end));
      text = source.text();
      text.replace(from, to - from, *written);
    } else {
      text = *written;
    }
    if (text.size() > kMaxDocument)
      return fail(ErrorCode::kLimit,
                  "the document would have more than " + std::to_string(kMaxDocument) + " bytes");
  }
  known->second.text = std::move(text);
  known->second.version = version;
  changed(known->first);
  return {};
}

void Workspace::close(const std::string& uri) {
  documents_.erase(path_of_uri(uri));
  forget_files();
}

void Workspace::changed(const std::string& path) {
  for (auto& [name, document] : documents_) {
    if (name != path && document.analysis != nullptr && !uses(*document.analysis, path)) continue;
    document.analysis = nullptr;
    document.published = false;
  }
}

void Workspace::forget_files() {
  for (auto& [name, document] : documents_) {
    document.analysis = nullptr;
    document.published = false;
  }
}

void Workspace::analyze(Document& document) {
  if (document.analysis != nullptr) return;
  document.analysis = std::make_shared<const dsl::Analysis>(
      dsl::analyze(document.path, document.text, reader(), &findings_));
}

Document* Workspace::document(const std::string& uri) {
  const auto known = documents_.find(path_of_uri(uri));
  if (known == documents_.end()) return nullptr;
  analyze(known->second);
  return &known->second;
}

std::vector<Document*> Workspace::documents() {
  std::vector<Document*> out;
  for (auto& [path, document] : documents_) {
    analyze(document);
    out.push_back(&document);
  }
  return out;
}

std::vector<Publication> Workspace::publications() {
  std::vector<Publication> out;
  // A file's own analysis counts where it is open; else what those say that use it.
  std::map<std::string, Json> wanted;
  const bool news = std::any_of(documents_.begin(), documents_.end(),
                                [](const auto& entry) { return !entry.second.published; });
  if (!news && !documents_.empty()) return out;
  for (auto& [path, document] : documents_) {
    analyze(document);
    for (auto& [file, list] : diagnostics_of(*document.analysis, *this)) {
      if (file != path && documents_.count(file) > 0) continue;
      Json& all = wanted.emplace(uri_of(file), Json::array()).first->second;
      for (Json& one : list)
        if (std::find(all.begin(), all.end(), one) == all.end()) all.push_back(std::move(one));
    }
  }
  // Each text that changed is answered, also by an empty list.
  for (auto& [path, document] : documents_) {
    if (std::exchange(document.published, true)) continue;
    const auto found = wanted.find(document.uri);
    out.push_back({document.uri, document.version,
                   found == wanted.end() ? Json(Json::array()) : found->second});
    published_.erase(document.uri);
    if (found != wanted.end()) published_[document.uri] = found->second;
  }
  for (const auto& [uri, list] : published_)
    if (wanted.count(uri) == 0) out.push_back({uri, std::nullopt, Json::array()});
  for (const auto& [uri, list] : wanted) {
    const auto before = published_.find(uri);
    if (before != published_.end() && before->second == list) continue;
    const auto open = documents_.find(path_of_uri(uri));
    out.push_back({uri, open == documents_.end() ? std::nullopt : open->second.version, list});
  }
  published_ = std::move(wanted);
  return out;
}

void Workspace::add_folder(const std::string& uri) { folders_.push_back(path_of_uri(uri)); }

// The programs of the folders, without hidden ones and without what is open.
std::vector<std::string> Workspace::unopened(const std::string& definition) const {
  std::vector<std::string> out;
  const std::string beside = std::filesystem::path(definition).parent_path().string();
  const bool own = folders_.empty();
  std::vector<std::string> waiting = own ? std::vector<std::string>{beside} : folders_;
  std::size_t entries = 0;
  while (!waiting.empty() && out.size() < kMaxFolderFiles) {
    const std::string folder = std::move(waiting.back());
    waiting.pop_back();
    const auto names = system_.list(folder);
    if (!names) continue;
    for (const std::string& name : *names) {
      if (++entries > kMaxFolderEntries || out.size() >= kMaxFolderFiles) return out;
      if (name.empty() || name[0] == '.' || name == "node_modules") continue;
      const std::string path = (std::filesystem::path(folder) / name).lexically_normal().string();
      if (name.ends_with(".gen")) {
        if (documents_.count(path) == 0) out.push_back(path);
      } else if (!own && name.find('.') == std::string::npos) {
        waiting.push_back(path);  // no folder where it cannot be listed
      }
    }
  }
  return out;
}

std::vector<Sighting> Workspace::sightings(const dsl::Analysis& analysis,
                                           const dsl::Symbol& symbol) {
  const std::string& file = analysis.program->sources[symbol.span.file].name();
  std::vector<Sighting> out;
  const auto look = [&](const dsl::Analysis& other) {
    const auto& sources = other.program->sources;
    const auto source = std::find_if(sources.begin(), sources.end(),
                                     [&](const dsl::Source& one) { return one.name() == file; });
    if (source == sources.end()) return false;
    const auto index = static_cast<std::uint32_t>(source - sources.begin());
    const dsl::Occurrence* there = other.symbols.at(index, symbol.span.begin);
    if (there != nullptr) out.push_back({&other, index, there->symbol});
    return there != nullptr;
  };
  for (const Document* document : documents()) look(*document->analysis);
  visited_.clear();
  if (!symbol.scope.empty()) return out;  // nothing outside of its file can name it
  for (const std::string& path : unopened(file)) {
    auto text = system_.read(path, dsl::kMaxSource);
    if (!text || text->find(symbol.name) == std::string::npos) continue;
    visited_.push_back(std::make_shared<const dsl::Analysis>(
        dsl::analyze(path, std::move(*text), reader(), &findings_)));
    if (!look(*visited_.back())) visited_.pop_back();
  }
  return out;
}

std::string Workspace::uri_of(const std::string& path) const {
  const auto open = documents_.find(path);
  return open != documents_.end() ? open->second.uri : uri_of_path(path);
}

dsl::ReadFile Workspace::reader() const {
  return [this](const std::string& path) -> Result<std::string> {
    const auto open = documents_.find(path);
    if (open != documents_.end()) return open->second.text;
    return system_.read(path, dsl::kMaxSource);
  };
}

Json Workspace::location(const dsl::Program& program, const dsl::Span& span) const {
  const dsl::Source& source = program.sources[span.file];
  TextPositions positions(source, encoding_);
  return {{"uri", uri_of(source.name())}, {"range", positions.range(span)}};
}

}  // namespace espalier::cli::lsp
