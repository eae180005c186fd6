// 3x3 convolutions with stride 1 by Winograd's F(2, 3) and F(4, 3) (Lavin and Gray, 2016, "Fast
// Algorithms for Convolutional Neural Networks", equations 7 to 12): with d the inputs and g the
// three taps, N outputs of one dimension are
//
//     OUT [(TAPS g) * (IN d)],
//
// and in two dimensions each matrix works on rows and columns, so that a tile of NxN outputs costs
// (N + 2)^2 products instead of 9 N^2. Each adjoint is made of the transposed matrices. Tiles are
// counted over all images, and some at a time fill the caches.
#pragma once

#include <algorithm>
#include <vector>

#include "products.h"

template <int R, int C>
struct Matrix {
    real at[R][C];

    constexpr Matrix<C, R> transposed() const {
        Matrix<C, R> m{};
        for (int i = 0; i < R; i++)
            for (int j = 0; j < C; j++) m.at[j][i] = at[i][j];
        return m;
    }
};

template <int N>
struct Winograd;

template <>
struct Winograd<2> {
    static constexpr Matrix<4, 4> IN{{{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}}};
    static constexpr Matrix<4, 3> TAPS{{{1, 0, 0}, {.5, .5, .5}, {.5, -.5, .5}, {0, 0, 1}}};
    static constexpr Matrix<2, 4> OUT{{{1, 1, 1, 0}, {0, 1, -1, -1}}};
    static constexpr auto FROM_OUT = OUT.transposed();
    static constexpr auto FROM_TAPS = TAPS.transposed();
};

template <>
struct Winograd<4> {
    static constexpr Matrix<6, 6> IN{{{4, 0, -5, 0, 1, 0},
                                      {0, -4, -4, 1, 1, 0},
                                      {0, 4, -4, -1, 1, 0},
                                      {0, -2, -1, 2, 1, 0},
                                      {0, 2, -1, -2, 1, 0},
                                      {0, 4, 0, -5, 0, 1}}};
    static constexpr Matrix<6, 3> TAPS{{{real(1) / 4, 0, 0},
                                        {real(-1) / 6, real(-1) / 6, real(-1) / 6},
                                        {real(-1) / 6, real(1) / 6, real(-1) / 6},
                                        {real(1) / 24, real(1) / 12, real(1) / 6},
                                        {real(1) / 24, real(-1) / 12, real(1) / 6},
                                        {0, 0, 1}}};
    static constexpr Matrix<4, 6> OUT{
        {{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}}};
    static constexpr auto FROM_OUT = OUT.transposed();
    static constexpr auto FROM_TAPS = TAPS.transposed();
};

// to = M from
template <const auto &M, int R, int C>
static inline void transform_line(const vec (&from)[C], vec (&to)[R]) {
#pragma GCC unroll 8
    for (int i = 0; i < R; i++) {
        to[i] = vec{};
#pragma GCC unroll 8
        for (int j = 0; j < C; j++)
            if (M.at[i][j] != 0) to[i] += M.at[i][j] * from[j];
    }
}

// to = M from M'
template <const auto &M, int R, int C>
static inline void transform(const vec (&from)[C][C], vec (&to)[R][R]) {
    vec half[C][R];
    for (int j = 0; j < C; j++) {
        vec column[C];
        for (int i = 0; i < C; i++) column[i] = from[i][j];
        transform_line<M>(column, half[j]);
    }
    for (int i = 0; i < R; i++) {
        vec row[C];
        for (int j = 0; j < C; j++) row[j] = half[j][i];
        transform_line<M>(row, to[i]);
    }
}

struct Tiles {
    int images, height, width, out_height, out_width, pad[2];

    template <int N>
    long across() const {
        return (out_width + N - 1) / N;
    }
    template <int N>
    long of_image() const {
        return (out_height + N - 1) / N * across<N>();
    }
    template <int N>
    long count() const {
        return images * of_image<N>();
    }
};

// How many tiles to compute at once, so that their transforms stay in the second cache.
template <int N>
static int tiles_at_once(int channels, int filters) {
    return std::max(12, (N == 2 ? 48 : 60) * 128 / (channels + filters));
}

// Numbers from one place of the transforms of n tiles to the next: no multiple of a page, whose
// lines would drive each other out of the first cache.
static long apart(int n, int channels) { return long(n) * channels + 16; }

// The pixels of a tile of NxN outputs, SIDE x SIDE from `shift` before them: their rows in an array
// of images, -1 outside.
template <int N, int SIDE>
static inline void pixels(const Tiles &t, long tile, const int (&shift)[2], int height, int width,
                          long (&rows)[SIDE][SIDE]) {
    long image = tile / t.of_image<N>(), within = tile % t.of_image<N>();
    long top = within / t.across<N>() * N - shift[0], left = within % t.across<N>() * N - shift[1];
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            bool inside = top + i >= 0 && top + i < height && left + j >= 0 && left + j < width;
            rows[i][j] = inside ? (image * height + top + i) * width + left + j : -1;
        }
}

// `to` (place, tile, channel) = M of the SIDE x SIDE pixels of tiles from `first`.
template <const auto &M, int N, int SIDE>
static void transform_tiles(const Tiles &t, long first, int n, const int (&shift)[2], int height,
                            int width, int channels, const real *x, real *to) {
    constexpr int PLACES = N + 2;
    for (int tile = 0; tile < n; tile++) {
        long rows[SIDE][SIDE];
        pixels<N>(t, first + tile, shift, height, width, rows);
        for (int c = 0; c < channels; c += LANES) {
            vec d[SIDE][SIDE], places[PLACES][PLACES];
            for (int i = 0; i < SIDE; i++)
                for (int j = 0; j < SIDE; j++)
                    d[i][j] = rows[i][j] < 0 ? vec{} : load(x + rows[i][j] * channels + c);
            transform<M>(d, places);
            for (int i = 0; i < PLACES; i++)
                for (int j = 0; j < PLACES; j++)
                    store(to + (PLACES * i + j) * apart(n, channels) + tile * channels + c,
                          places[i][j]);
        }
    }
}

template <int N>
static void transform_inputs(const Tiles &t, long first, int n, int channels, const real *x,
                             real *v) {
    transform_tiles<Winograd<N>::IN, N, N + 2>(t, first, n, t.pad, t.height, t.width, channels, x,
                                               v);
}

template <int N>
static void transform_gradients(const Tiles &t, long first, int n, int filters, const real *g,
                                real *s) {
    transform_tiles<Winograd<N>::FROM_OUT, N, N>(t, first, n, {0, 0}, t.out_height, t.out_width,
                                                 filters, g, s);
}

// y: OUT of m (place, tile, filter).
template <int N>
static void transform_outputs(const Tiles &t, long first, int n, int filters, const real *m,
                              real *y) {
    constexpr int PLACES = N + 2;
    for (int tile = 0; tile < n; tile++) {
        long rows[N][N];
        pixels<N>(t, first + tile, {0, 0}, t.out_height, t.out_width, rows);
        for (int c = 0; c < filters; c += LANES) {
            vec places[PLACES][PLACES], d[N][N];
            for (int i = 0; i < PLACES; i++)
                for (int j = 0; j < PLACES; j++)
                    places[i][j] =
                        load(m + (PLACES * i + j) * apart(n, filters) + tile * filters + c);
            transform<Winograd<N>::OUT>(places, d);
            for (int i = 0; i < N; i++)
                for (int j = 0; j < N; j++)
                    if (rows[i][j] >= 0) store(y + rows[i][j] * filters + c, d[i][j]);
        }
    }
}

// (R, R, number) = M of (C, C, number), for filters and their gradients.
template <const auto &M, int R, int C>
static void transform_taps(long size, const real *w, real *u) {
    for (long c = 0; c < size; c += LANES) {
        vec from[C][C], to[R][R];
        for (int i = 0; i < C; i++)
            for (int j = 0; j < C; j++) from[i][j] = load(w + (C * i + j) * size + c);
        transform<M>(from, to);
        for (int i = 0; i < R; i++)
            for (int j = 0; j < R; j++) store(u + (R * i + j) * size + c, to[i][j]);
    }
}

// Pointers to n rows.
template <class Real>
static std::vector<Real *> lines(Real *from, int n, int columns) {
    std::vector<Real *> found(n);
    for (int i = 0; i < n; i++) found[i] = from + long(i) * columns;
    return found;
}

// y = x1 * w1 (+ x2 * w2), tile by tile.
template <int N>
static void tiled(const Tiles &t, int channels, int filters, const real *x1, const real *w1,
                  const real *x2, const real *w2, real *y) {
    constexpr int PLACES = (N + 2) * (N + 2);
    long size = long(channels) * filters, count = t.count<N>();
    int most = tiles_at_once<N>(channels, filters);
    Buffer u1(PLACES * size), u2(x2 ? PLACES * size : 0);
    Buffer v(PLACES * apart(most, channels)), m(PLACES * apart(most, filters));
    transform_taps<Winograd<N>::TAPS, N + 2, 3>(size, w1, u1);
    if (x2) transform_taps<Winograd<N>::TAPS, N + 2, 3>(size, w2, u2);
    for (long first = 0; first < count; first += most) {
        int n = std::min<long>(most, count - first);
        for (int pair = 0; pair < (x2 ? 2 : 1); pair++) {
            transform_inputs<N>(t, first, n, channels, pair ? x2 : x1, v);
            for (int place = 0; place < PLACES; place++) {
                auto a = lines<const real>(v + place * apart(n, channels), n, channels);
                auto c = lines<real>(m + place * apart(n, filters), n, filters);
                const real *u = (pair ? u2 : u1) + place * size;
                multiply(n, channels, filters, a.data(), u, c.data(), pair);
            }
        }
        transform_outputs<N>(t, first, n, filters, m, y);
    }
}

// gw: the adjoint of `tiled` in the filters.
template <int N>
static void tiled_in_filters(const Tiles &t, int channels, int filters, const real *x1,
                             const real *g1, const real *x2, const real *g2, real *gw) {
    constexpr int PLACES = (N + 2) * (N + 2);
    long size = long(channels) * filters, count = t.count<N>();
    int most = tiles_at_once<N>(channels, filters);
    Buffer gu(PLACES * size);
    Buffer v(PLACES * apart(most, channels)), s(PLACES * apart(most, filters));
    gu.clear(PLACES * size);
    for (int pair = 0; pair < (x2 ? 2 : 1); pair++)
        for (long first = 0; first < count; first += most) {
            int n = std::min<long>(most, count - first);
            transform_inputs<N>(t, first, n, channels, pair ? x2 : x1, v);
            transform_gradients<N>(t, first, n, filters, pair ? g2 : g1, s);
            for (int place = 0; place < PLACES; place++) {
                auto a = lines<const real>(v + place * apart(n, channels), n, channels);
                auto g = lines<const real>(s + place * apart(n, filters), n, filters);
                multiply_transposed(n, channels, filters, a.data(), g.data(), gu + place * size);
            }
        }
    transform_taps<Winograd<N>::FROM_TAPS, 3, N + 2>(size, gu, gw);
}
