// What the machine can do at most, for the rooflines of docs/performance.md.
#ifndef MACHINE_H
#define MACHINE_H
#include <stddef.h>

/// Runs fused multiply-adds between registers of 8 or 16 lanes; returns how many floating-point operations they were.
double machine_multiply_add(size_t rounds, int lanes);
/// Reads memory once; the sum keeps the reads from being dropped.
float machine_read(const float *memory, size_t count);

#endif
