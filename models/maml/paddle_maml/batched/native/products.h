// Matrix products whose rows lie wherever pointers say.
#pragma once

#include <type_traits>

#include "numbers.h"

template <int N>
using Constant = std::integral_constant<int, N>;

// Calls `block(first, Constant<R>)` for blocks of R <= Most rows that are all but alike.
template <int Most, class Block>
static void in_blocks(int rows, Block block) {
    int blocks = (rows + Most - 1) / Most;
    for (int i = 0; i < blocks; i++) {
        int first = long(rows) * i / blocks, count = long(rows) * (i + 1) / blocks - first;
        if (count == Most)
            block(first, Constant<Most>());
        else if constexpr (Most > 1)
            in_blocks<Most - 1>(count, [&](int, auto r) { block(first, r); });
    }
}

// Calls `panel(column, Constant<V>)` for panels of V vectors of columns, each as wide as fits.
template <int V, class Panel>
static void in_panels(long columns, long at, Panel panel) {
    for (; at + V * LANES <= columns; at += V * LANES) panel(at, Constant<V>());
    if constexpr (V > 1) in_panels<V / 2>(columns, at, panel);
}

// The most rows of V vectors that registers hold.
template <int V>
constexpr int MOST = SUMS / V < 12 ? SUMS / V : 12;

// The two products below in blocks of R rows and V vectors of columns from `at`: functions of their
// own with all loops over sums unrolled, since g++ else keeps some of the sums in memory.
#define UNROLLED _Pragma("GCC unroll 16")

// b is (depth, width).
template <int R, int V>
[[gnu::noinline]] static void multiply_block(long depth, long width, long at, const real *const *a,
                                             const real *b, real *const *c, bool adding) {
    vec sum[R][V];
    const real *left[R];
    UNROLLED
    for (int r = 0; r < R; r++) {
        left[r] = a[r];
        UNROLLED
        for (int v = 0; v < V; v++) sum[r][v] = adding ? load(c[r] + at + v * LANES) : vec{};
    }
    for (long k = 0; k < depth; k++) {
        vec right[V];
        UNROLLED
        for (int v = 0; v < V; v++) right[v] = load(b + k * width + at + v * LANES);
        UNROLLED
        for (int r = 0; r < R; r++)
            UNROLLED
            for (int v = 0; v < V; v++) sum[r][v] += left[r][k] * right[v];
    }
    UNROLLED
    for (int r = 0; r < R; r++)
        UNROLLED
        for (int v = 0; v < V; v++) store(c[r] + at + v * LANES, sum[r][v]);
}

// Rows of c from `first`; c is (rows, width).
template <int R, int V>
[[gnu::noinline]] static void multiply_transposed_block(int count, long width, int first, long at,
                                                        const real *const *a,
                                                        const real *const *g, real *c) {
    real *to = c + first * width + at;
    vec sum[R][V];
    UNROLLED
    for (int r = 0; r < R; r++)
        UNROLLED
        for (int v = 0; v < V; v++) sum[r][v] = load(to + r * width + v * LANES);
    for (int p = 0; p < count; p++) {
        const real *left = a[p] + first;
        vec right[V];
        UNROLLED
        for (int v = 0; v < V; v++) right[v] = load(g[p] + at + v * LANES);
        UNROLLED
        for (int r = 0; r < R; r++)
            UNROLLED
            for (int v = 0; v < V; v++) sum[r][v] += left[r] * right[v];
    }
    UNROLLED
    for (int r = 0; r < R; r++)
        UNROLLED
        for (int v = 0; v < V; v++) store(to + r * width + v * LANES, sum[r][v]);
}

// c[r] (+)= sum over k < depth of a[r][k] b[k] for rows r; b is (depth, columns).
static void multiply(int rows, int depth, long columns, const real *const *a, const real *b,
                     real *const *c, bool adding) {
    in_panels<PANEL>(columns, 0, [=](long at, auto vectors) {
        constexpr int V = vectors;
        in_blocks<MOST<V>>(rows, [=](int first, auto height) {
            multiply_block<height, V>(depth, columns, at, a + first, b, c + first, adding);
        });
    });
}

// c (rows, columns) += sum over p < count of a[p]' g[p]
static void multiply_transposed(int count, int rows, long columns, const real *const *a,
                                const real *const *g, real *c) {
    constexpr int SOME = 64;  // rows of a and g that the first cache holds
    in_panels<PANEL>(columns, 0, [=](long at, auto vectors) {
        constexpr int V = vectors;
        for (int begin = 0; begin < count; begin += SOME) {
            int some = count < begin + SOME ? count - begin : SOME;
            in_blocks<MOST<V>>(rows, [=](int first, auto height) {
                multiply_transposed_block<height, V>(some, columns, first, at, a + begin, g + begin,
                                                     c);
            });
        }
    });
}
