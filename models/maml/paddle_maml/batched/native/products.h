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

// c[r] (+)= sum over k < depth of a[r][k] b[k] for rows r; b is (depth, columns).
static void multiply(int rows, int depth, long columns, const real *const *a, const real *b,
                     real *const *c, bool adding) {
    in_panels<PANEL>(columns, 0, [=](long at, auto vectors) {
        constexpr int V = vectors;
        in_blocks<MOST<V>>(rows, [=](int first, auto height) {
            constexpr int R = height;
            vec sum[R][V];
            const real *left[R];
            for (int r = 0; r < R; r++) {
                left[r] = a[first + r];
                for (int v = 0; v < V; v++)
                    sum[r][v] = adding ? load(c[first + r] + at + v * LANES) : vec{};
            }
            for (int k = 0; k < depth; k++) {
                vec right[V];
                for (int v = 0; v < V; v++) right[v] = load(b + k * columns + at + v * LANES);
                for (int r = 0; r < R; r++)
                    for (int v = 0; v < V; v++) sum[r][v] += left[r][k] * right[v];
            }
            for (int r = 0; r < R; r++)
                for (int v = 0; v < V; v++) store(c[first + r] + at + v * LANES, sum[r][v]);
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
            int end = count < begin + SOME ? count : begin + SOME;
            in_blocks<MOST<V>>(rows, [=](int first, auto height) {
                constexpr int R = height;
                real *to = c + first * columns + at;
                vec sum[R][V];
                for (int r = 0; r < R; r++)
                    for (int v = 0; v < V; v++) sum[r][v] = load(to + r * columns + v * LANES);
                for (int p = begin; p < end; p++) {
                    const real *left = a[p] + first;
                    vec right[V];
                    for (int v = 0; v < V; v++) right[v] = load(g[p] + at + v * LANES);
                    for (int r = 0; r < R; r++)
                        for (int v = 0; v < V; v++) sum[r][v] += left[r] * right[v];
                }
                for (int r = 0; r < R; r++)
                    for (int v = 0; v < V; v++) store(to + r * columns + v * LANES, sum[r][v]);
            });
        }
    });
}
