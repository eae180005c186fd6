// Convolutions without bias and their two adjoints, on channels-last images of one task.
//
// x is (image, row, column, channel), y (image, row, column, filter), and filters are (tap,
// channel, filter). Every function takes one or two pairs of operands and returns the sum of both
// results: the derivative of a product has two terms.
#pragma once

#include <vector>

#include "winograd.h"

struct Convolution {
    int images, height, width, channels;      // of x
    int out_height, out_width, filters;       // of y
    int kernel[2], stride[2], pad[2];         // down and across
    int tile;                                 // 2 or 4 to compute in tiles of as many outputs
    const int32_t *begin, *outputs, *inputs;  // (tap + 1), and by tap the rows of y and x that meet

    long rows_in() const { return long(images) * height * width; }
    long rows() const { return long(images) * out_height * out_width; }
    int taps() const { return kernel[0] * kernel[1]; }
};

// Rows to columns, by exchanges of ever larger parts between pairs of vectors.
static inline void transpose(vec (&rows)[LANES]) {
#pragma GCC unroll 16
    for (int part = 1; part < LANES; part *= 2) {
        mask upper, lower;
        for (int i = 0; i < LANES; i++) {
            upper[i] = i & part ? LANES + i - part : i;
            lower[i] = i & part ? LANES + i : i + part;
        }
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
            if (!(i & part)) {
                vec a = rows[i], b = rows[i + part];
                rows[i] = __builtin_shuffle(a, b, upper);
                rows[i + part] = __builtin_shuffle(a, b, lower);
            }
    }
}

// w' tap by tap: (tap, filter, channel). `reversed`: the last tap first.
static void transpose_filters(const Convolution &c, const real *w, bool reversed, real *to) {
    long size = long(c.channels) * c.filters;
    for (int tap = 0; tap < c.taps(); tap++, to += size) {
        const real *from = w + (reversed ? c.taps() - 1 - tap : tap) * size;
        for (int i = 0; i < c.channels; i += LANES)
            for (int j = 0; j < c.filters; j += LANES) {
                vec rows[LANES];
                for (int k = 0; k < LANES; k++) rows[k] = load(from + (i + k) * c.filters + j);
                transpose(rows);
                for (int k = 0; k < LANES; k++) store(to + (j + k) * c.channels + i, rows[k]);
            }
    }
}

static std::vector<const real *> rows_of(const real *x, const int32_t *rows, int n, int columns) {
    std::vector<const real *> found(n);
    for (int i = 0; i < n; i++) found[i] = x + long(rows[i]) * columns;
    return found;
}

// to[rows_to] += from[rows_from] w[tap] for all taps
static void by_taps(const Convolution &c, const real *from, const int32_t *rows_from, int depth,
                    const real *w, real *to, const int32_t *rows_to, int columns) {
    for (int tap = 0; tap < c.taps(); tap++, w += long(depth) * columns) {
        int first = c.begin[tap], n = c.begin[tap + 1] - first;
        auto a = rows_of(from, rows_from + first, n, depth);
        auto b = rows_of(to, rows_to + first, n, columns);
        multiply(n, depth, columns, a.data(), w, const_cast<real *const *>(b.data()), true);
    }
}

// y = x1 * w1 (+ x2 * w2)
static void correlate(const Convolution &c, const real *x1, const real *w1, const real *x2,
                      const real *w2, real *y) {
    if (c.tile) {
        Tiles t{c.images, c.height, c.width, c.out_height, c.out_width, {c.pad[0], c.pad[1]}};
        auto compute = c.tile == 2 ? tiled<2> : tiled<4>;
        return compute(t, c.channels, c.filters, x1, w1, x2, w2, y);
    }
    memset(y, 0, c.rows() * c.filters * sizeof(real));
    by_taps(c, x1, c.inputs, c.channels, w1, y, c.outputs, c.filters);
    if (x2) by_taps(c, x2, c.inputs, c.channels, w2, y, c.outputs, c.filters);
}

// The adjoint in x: gx from gradients in y.
static void in_images(const Convolution &c, const real *g1, const real *w1, const real *g2,
                      const real *w2, real *gx) {
    size_t size = size_t(c.taps()) * c.channels * c.filters;
    Buffer t1(size), t2(g2 ? size : 0);
    transpose_filters(c, w1, c.tile, t1);
    if (g2) transpose_filters(c, w2, c.tile, t2);
    if (c.tile) {
        Tiles t{c.images, c.out_height, c.out_width,
                c.height, c.width,      {2 - c.pad[0], 2 - c.pad[1]}};
        auto compute = c.tile == 2 ? tiled<2> : tiled<4>;
        return compute(t, c.filters, c.channels, g1, t1, g2, t2, gx);
    }
    memset(gx, 0, c.rows_in() * c.channels * sizeof(real));
    by_taps(c, g1, c.outputs, c.filters, t1, gx, c.inputs, c.channels);
    if (g2) by_taps(c, g2, c.outputs, c.filters, t2, gx, c.inputs, c.channels);
}

// The adjoint in the filters: gw from gradients in y.
static void in_filters(const Convolution &c, const real *x1, const real *g1, const real *x2,
                       const real *g2, real *gw) {
    if (c.tile) {
        Tiles t{c.images, c.height, c.width, c.out_height, c.out_width, {c.pad[0], c.pad[1]}};
        auto compute = c.tile == 2 ? tiled_in_filters<2> : tiled_in_filters<4>;
        return compute(t, c.channels, c.filters, x1, g1, x2, g2, gw);
    }
    size_t size = size_t(c.channels) * c.filters;
    memset(gw, 0, c.taps() * size * sizeof(real));
    for (int tap = 0; tap < c.taps(); tap++, gw += size) {
        int first = c.begin[tap], n = c.begin[tap + 1] - first;
        for (auto [x, g] : {std::pair{x1, g1}, std::pair{x2, g2}}) {
            if (!x) continue;
            auto a = rows_of(x, c.inputs + first, n, c.channels);
            auto b = rows_of(g, c.outputs + first, n, c.filters);
            multiply_transposed(n, c.channels, c.filters, a.data(), b.data(), gw);
        }
    }
}
