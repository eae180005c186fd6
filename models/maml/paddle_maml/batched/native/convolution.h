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
    int patch() const { return taps() * channels; }  // numbers that an output is made of
    long of_tap() const { return long(channels) * filters; }
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

// to (columns, rows) = from' (rows, columns)
static void transpose(const real *from, int rows, int columns, real *to) {
    for (int i = 0; i < rows; i += LANES)
        for (int j = 0; j < columns; j += LANES) {
            vec square[LANES];
            for (int k = 0; k < LANES; k++) square[k] = load(from + long(i + k) * columns + j);
            transpose(square);
            for (int k = 0; k < LANES; k++) store(to + long(j + k) * rows + i, square[k]);
        }
}

static std::vector<const real *> rows_of(const real *x, const int32_t *rows, int n, int columns) {
    std::vector<const real *> found(n);
    for (int i = 0; i < n; i++) found[i] = x + long(rows[i]) * columns;
    return found;
}

// y += x * w, tap by tap.
static void add_by_taps(const Convolution &c, const real *x, const real *w, real *y) {
    for (int tap = 0; tap < c.taps(); tap++, w += c.of_tap()) {
        int first = c.begin[tap], n = c.begin[tap + 1] - first;
        auto from = rows_of(x, c.inputs + first, n, c.channels);
        auto to = rows_of(y, c.outputs + first, n, c.filters);
        multiply(n, c.channels, c.filters, from.data(), w, const_cast<real *const *>(to.data()),
                 true);
    }
}

// The adjoint of `add_by_taps` in x.
static void add_adjoint_by_taps(const Convolution &c, const real *g, const real *w, real *gx) {
    Buffer turned(c.of_tap());
    for (int tap = 0; tap < c.taps(); tap++, w += c.of_tap()) {
        int first = c.begin[tap], n = c.begin[tap + 1] - first;
        auto from = rows_of(g, c.outputs + first, n, c.filters);
        auto to = rows_of(gx, c.inputs + first, n, c.channels);
        transpose(w, c.channels, c.filters, turned);
        multiply(n, c.filters, c.channels, from.data(), turned,
                 const_cast<real *const *>(to.data()), true);
    }
}

// Filters of which tiles give the adjoint in x: (last tap first, filter, channel).
static void turn(const Convolution &c, const real *w, real *to) {
    for (int tap = c.taps() - 1; tap >= 0; tap--, to += c.of_tap())
        transpose(w + tap * c.of_tap(), c.channels, c.filters, to);
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
    add_by_taps(c, x1, w1, y);
    if (x2) add_by_taps(c, x2, w2, y);
}

// The adjoint in x: gx from gradients in y.
static void in_images(const Convolution &c, const real *g1, const real *w1, const real *g2,
                      const real *w2, real *gx) {
    if (c.tile) {
        Tiles t{c.images, c.out_height, c.out_width,
                c.height, c.width,      {2 - c.pad[0], 2 - c.pad[1]}};
        Buffer t1(c.patch() * c.filters), t2(g2 ? c.patch() * c.filters : 0);
        turn(c, w1, t1);
        if (g2) turn(c, w2, t2);
        auto compute = c.tile == 2 ? tiled<2> : tiled<4>;
        return compute(t, c.filters, c.channels, g1, t1, g2, t2, gx);
    }
    memset(gx, 0, c.rows_in() * c.channels * sizeof(real));
    add_adjoint_by_taps(c, g1, w1, gx);
    if (g2) add_adjoint_by_taps(c, g2, w2, gx);
}

// The adjoint in the filters: gw from gradients in y.
static void in_filters(const Convolution &c, const real *x1, const real *g1, const real *x2,
                       const real *g2, real *gw) {
    if (c.tile) {
        Tiles t{c.images, c.height, c.width, c.out_height, c.out_width, {c.pad[0], c.pad[1]}};
        auto compute = c.tile == 2 ? tiled_in_filters<2> : tiled_in_filters<4>;
        return compute(t, c.channels, c.filters, x1, g1, x2, g2, gw);
    }
    memset(gw, 0, c.taps() * c.of_tap() * sizeof(real));
    for (int tap = 0; tap < c.taps(); tap++, gw += c.of_tap()) {
        int first = c.begin[tap], n = c.begin[tap + 1] - first;
        for (auto [x, g] : {std::pair{x1, g1}, std::pair{x2, g2}}) {
            if (!x) continue;
            auto a = rows_of(x, c.inputs + first, n, c.channels);
            auto b = rows_of(g, c.outputs + first, n, c.filters);
            multiply_transposed(n, c.channels, c.filters, a.data(), b.data(), gw);
        }
    }
}
