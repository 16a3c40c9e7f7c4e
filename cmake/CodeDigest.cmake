# A digest of sources, as a source of its own: cmake -DROOT=folder -DROOMS="a;b" -DOUT=file.cpp -P CodeDigest.cmake
set(text "")
foreach(room IN LISTS ROOMS)
  file(GLOB_RECURSE sources RELATIVE "${ROOT}" "${ROOT}/${room}/*.h" "${ROOT}/${room}/*.cpp")
  list(SORT sources)
  foreach(source IN LISTS sources)
    file(SHA256 "${ROOT}/${source}" digest)
    string(APPEND text "${source} ${digest}\n")
  endforeach()
endforeach()
string(SHA256 all "${text}")
file(WRITE "${OUT}" "#include \"grammar/code_digest.h\"\n\nnamespace espalier::grammar {\n
std::string_view code_digest() { return \"${all}\"; }\n\n}  // namespace espalier::grammar\n")
