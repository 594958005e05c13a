# Writes OUTPUT: the kernels of SOURCE, found in its preprocessed text INPUT, made known to the simulator.
file(READ ${INPUT} text)
string(REGEX MATCHALL "extern \"C\" *void +[A-Za-z_0-9]+ *\\(" definitions "${text}")
set(lines "#include \"${SOURCE}\"\n#include \"kernel.h\"\n")
foreach(definition ${definitions})
  string(REGEX REPLACE ".*void +([A-Za-z_0-9]+) *\\($" "\\1" name "${definition}")
  string(APPEND lines "SIMT_KERNEL(${name})\n")
endforeach()
file(WRITE ${OUTPUT} "${lines}")
