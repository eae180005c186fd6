// The number type, vectors of it, and memory to work in.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#ifndef REAL
#define REAL float
#endif
using real = REAL;

// As many vectors as can be sums of products in registers at once, and the widest block of columns.
#ifdef __AVX512F__
constexpr int BYTES = 64, SUMS = 24, PANEL = 4;
#else
constexpr int BYTES = 32, SUMS = 12, PANEL = 2;
#endif
constexpr int LANES = BYTES / sizeof(real);

typedef real vec __attribute__((vector_size(BYTES)));
typedef uint8_t places __attribute__((vector_size(LANES)));  // of maxima in their windows
using mask = decltype(vec{} < vec{});

static inline vec load(const real *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void store(real *p, vec v) { memcpy(p, &v, sizeof v); }

static inline void add(real *p, vec v) { store(p, load(p) + v); }

static inline mask load_places(const uint8_t *p) {
    places v;
    memcpy(&v, p, sizeof v);
    return __builtin_convertvector(v, mask);
}

static inline void store_places(uint8_t *p, mask m) {
    places v = __builtin_convertvector(m, places);
    memcpy(p, &v, sizeof v);
}

// Numbers that live as long as this object does.
class Buffer {
  public:
    explicit Buffer(size_t count)
        : data(static_cast<real *>(aligned_alloc(64, (count * sizeof(real) + 127) / 64 * 64))) {
        if (!data) throw std::bad_alloc();
    }
    Buffer(const Buffer &) = delete;
    ~Buffer() { free(data); }
    operator real *() const { return data; }
    void clear(size_t count) { memset(data, 0, count * sizeof(real)); }

  private:
    real *data;
};
