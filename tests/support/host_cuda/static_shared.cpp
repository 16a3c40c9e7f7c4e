#include "static_shared.h"

#include <elf.h>
#include <link.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string_view>

namespace host_cuda {

// Names of variables of functions begin with _ZZ.
std::vector<Shared> shared_variables() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  const auto read = [&file]<class T>(std::uint64_t at, std::vector<T>& to) {
    file.seekg(static_cast<std::streamoff>(at));
    file.read(reinterpret_cast<char*>(to.data()),
              static_cast<std::streamsize>(to.size() * sizeof(T)));
  };
  std::vector<ElfW(Ehdr)> header(1);
  read(0, header);
  std::vector<ElfW(Shdr)> sections(header[0].e_shnum);
  read(header[0].e_shoff, sections);
  std::vector<Shared> out;
  bool symbols_found = false;
  for (const ElfW(Shdr) & section : sections) {
    if (section.sh_type != SHT_SYMTAB || section.sh_link >= sections.size()) continue;
    symbols_found = true;
    std::vector<ElfW(Sym)> symbols(section.sh_size / sizeof(ElfW(Sym)));
    read(section.sh_offset, symbols);
    const ElfW(Shdr)& strings = sections[section.sh_link];
    std::vector<char> names(strings.sh_size + 1);
    read(strings.sh_offset, names);
    for (const ElfW(Sym) & symbol : symbols) {
      if (ELF64_ST_TYPE(symbol.st_info) == STT_TLS &&
          std::string_view(names.data() + symbol.st_name).starts_with("_ZZ")) {
        out.push_back({symbol.st_value, symbol.st_size});
      }
    }
  }
  if (!file || !symbols_found) {
    std::fputs("host_cuda: the program's symbols cannot be read; shared memory needs them\n",
               stderr);
    std::abort();
  }
  return out;
}

unsigned char* thread_storage() {
  void* storage = nullptr;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* to) {
        *static_cast<void**>(to) = info->dlpi_tls_data;
        return 1;  // the first is the program
      },
      &storage);
  return static_cast<unsigned char*>(storage);
}

}  // namespace host_cuda
