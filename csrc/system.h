// What the operating system lets this process use, containers included.
#pragma once

#include <cstdint>

namespace octavo {

// CPUs by affinity and by the container's CPU quota (rounded down); at least 1.
int AvailableCpus();

// Bytes of memory that may still be taken, by free memory and by the container's limit.
uint64_t AvailableMemory();

}  // namespace octavo
