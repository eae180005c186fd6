// A first block, whose input is data; its formulas are those of `DataBlock` in batched/stages.py.
//
// Patches are a few numbers wide, and their mean and covariance give the statistics of the outputs,
// so that of the outputs only those that the pooling chooses are ever kept.
#pragma once

#include <numeric>

#include "block.h"

struct Patches {
    const real *mean, *covariance;  // (width), (width, width)
    real *cw, *d_cw;                // the covariance times filters, and times their tangent
};

// One image with zeros around it, and where its patches begin and lie.
struct Padded {
    const Convolution &c;
    long line;
    std::vector<real> pixels;
    std::vector<long> offsets;  // from a patch's first number to each of its numbers

    explicit Padded(const Convolution &c) : c(c), line(long(c.width + 2 * c.pad[1]) * c.channels) {
        pixels.resize((c.height + 2 * c.pad[0]) * line);
        for (int i = 0; i < c.kernel[0]; i++)
            for (int j = 0; j < c.kernel[1] * c.channels; j++) offsets.push_back(i * line + j);
    }

    void read(const real *x, int image) {
        long n = long(c.width) * c.channels;
        for (int i = 0; i < c.height; i++)
            memcpy(&pixels[(i + c.pad[0]) * line + c.pad[1] * c.channels],
                   x + (long(image) * c.height + i) * n, n * sizeof(real));
    }

    long down() const { return c.stride[0] * line; }
    long across() const { return long(c.stride[1]) * c.channels; }
};

// Calls `at(window, from)` for the windows of an image; `from` is the first number of its patches.
template <class At>
static inline void over_patches(const Shape &s, const Padded &p, int image, At at) {
    int step = s.pools ? 2 : 1, down = s.down(), across = s.across();
    for (int i = 0; i < down; i++)
        for (int j = 0; j < across; j++)
            at((long(image) * down + i) * across + j,
               p.pixels.data() + i * step * p.down() + j * step * p.across());
}

// One of the numbers of all patches of an image, less `shift`; `to` (position).
static void read_column(const Padded &image, int number, real shift, real *to) {
    const Convolution &c = image.c;
    long across = image.across();
    for (int i = 0; i < c.out_height; i++, to += c.out_width) {
        const real *from = image.pixels.data() + i * image.down() + image.offsets[number];
        for (int j = 0; j < c.out_width; j++) to[j] = from[j * across] - shift;
    }
}

// Mean and covariance of the patches, over all positions of the convolution; of numbers less their
// mean over the first image, which keeps the difference of squares exact.
static void patch_statistics(const Convolution &c, const real *x, real *mean, real *covariance) {
    constexpr int SOME = 4;  // sums at once
    int width = c.patch(), padded = (width + SOME - 1) / SOME * SOME;
    long positions = long(c.out_height) * c.out_width, rows = positions * c.images;
    long line = (positions + LANES - 1) / LANES * LANES;
    Padded image(c);
    Buffer columns((padded + 1) * line), first(width);  // the last column is of ones
    std::vector<double> products(padded * (width + 1));
    columns.clear((padded + 1) * line);
    std::fill_n(columns + padded * line, positions, real(1));
    for (int n = 0; n < c.images; n++) {
        image.read(x, n);
        for (int t = 0; t < width; t++) {
            real *column = columns + t * line;
            if (n == 0) {
                read_column(image, t, 0, column);
                first[t] = std::accumulate(column, column + positions, 0.0) / positions;
            }
            read_column(image, t, first[t], column);
        }
        for (int t = 0; t <= width; t++) {
            const real *left = columns + (t < width ? t : padded) * line;
            for (int u = 0; u <= std::min(t, width - 1); u += SOME) {
                vec sum[SOME] = {};
                for (long i = 0; i < line; i += LANES)
                    for (int k = 0; k < SOME; k++)
                        sum[k] += load(left + i) * load(columns + (u + k) * line + i);
                for (int k = 0; k < SOME; k++)
                    for (int l = 0; l < LANES; l++) products[t * padded + u + k] += sum[k][l];
            }
        }
    }
    const double *sums = &products[width * padded];
    for (int t = 0; t < width; t++) {
        mean[t] = first[t] + sums[t] / rows;
        for (int u = 0; u <= t; u++)
            covariance[t * width + u] = covariance[u * width + t] =
                (products[t * padded + u] - sums[t] * sums[u] / rows) / rows;
    }
}

// Calls `use(i, c, outputs)` with the P outputs of each window: i is the place of its vector in
// `top`, c the first channel.
template <int P, class Use>
static void over_outputs(const Shape &s, const real *x, const real *w, Use use) {
    int width = s.conv.patch(), n = s.conv.filters;
    Padded image(s.conv);
    const long steps[4] = {0, image.across(), image.down(), image.across() + image.down()};
    const long *offsets = image.offsets.data();
    for (int m = 0; m < s.conv.images; m++) {
        image.read(x, m);
        in_panels<PANEL>(n, 0, [&](long at, auto vectors) {
            constexpr int V = vectors;
            over_patches(s, image, m, [&](long window, const real *from) {
                vec y[V][P] = {};
                const real *left[P], *right = w + at;
                for (int k = 0; k < P; k++) left[k] = from + steps[k];
                for (int t = 0; t < width; t++, right += n) {
                    long number = offsets[t];
                    for (int v = 0; v < V; v++)
                        for (int k = 0; k < P; k++)
                            y[v][k] += left[k][number] * load(right + v * LANES);
                }
                for (int v = 0; v < V; v++) {
                    long c = at + v * LANES;
                    use(window * n + c, c, y[v]);
                }
            });
        });
    }
}

// gw (number, filter) = sum over windows of the patches at the chosen places times m's mixture
template <int P, bool BOTH>
static void patches_times(const Shape &s, const Point &p, const Mixture &m, real *gw) {
    constexpr int SOME = 9;  // sums at once
    int width = s.conv.patch(), n = s.conv.filters;
    Padded image(s.conv);
    const long steps[4] = {0, image.across(), image.down(), image.across() + image.down()};
    memset(gw, 0, sizeof(real) * width * n);
    for (int number = 0; number < s.conv.images; number++) {
        image.read(p.x, number);
        for (int c = 0; c < n; c += LANES) {
            const vec s1 = load(m.s1 + c), s2 = load(m.s2 + c);
            for (int t = 0; t < width; t += SOME) {
                vec sum[SOME] = {};
                long offsets[SOME];
                for (int u = 0; u < SOME; u++)
                    offsets[u] = image.offsets[std::min(t + u, width - 1)];
                over_patches(s, image, number, [&](long window, const real *from) {
                    long i = window * n + c;
                    vec g = load(m.g1 + i) * s1;
                    if (BOTH) g += load(m.g2 + i) * s2;
                    g = load(p.z + i) > 0 ? g : vec{};
                    mask place = P > 1 ? load_places(p.place + i) : mask{};
                    for (int k = 0; k < P; k++) {
                        vec there = place == k ? g : vec{};
                        for (int u = 0; u < SOME; u++)
                            sum[u] += from[offsets[u] + steps[k]] * there;
                    }
                });
                for (int u = 0; u < std::min(SOME, width - t); u++)
                    add(gw + (t + u) * n + c, sum[u]);
            }
        }
    }
}

// product (number, filter) = covariance times w
static void covariance_times(const Shape &s, const Patches &d, const real *w, real *product) {
    int width = s.conv.patch();
    auto rows = lines<const real>(d.covariance, width, width);
    auto to = lines<real>(product, width, s.conv.filters);
    multiply(width, width, s.conv.filters, rows.data(), w, to.data(), false);
}

// Per filter: mean' w, and the sum of a w over the numbers of a patch.
static void data_sums(const Shape &s, const Patches &d, const real *a, const real *w, real *mean,
                      real *along) {
    int n = s.conv.filters;
    for (int c = 0; c < n; c++) {
        mean[c] = along[c] = 0;
        for (int t = 0; t < s.conv.patch(); t++) {
            mean[c] += d.mean[t] * w[t * n + c];
            along[c] += a[t * n + c] * w[t * n + c];
        }
    }
}

static void data_forward(const Shape &s, const Patches &d, const Point &p) {
    covariance_times(s, d, p.filters, d.cw);
    data_sums(s, d, d.cw, p.filters, p.mean, p.r);
    for (int c = 0; c < s.conv.filters; c++) p.r[c] = 1 / std::sqrt(p.r[c] + real(s.epsilon));
    const Activation a(s, p);
    auto keep = [&](long i, long c, vec top) {
        store(p.top + i, top);
        store(p.z + i, activated(top, load(a.scale + c), load(a.shift + c)));
    };
    if (s.pools)
        over_outputs<4>(s, p.x, p.filters, [&](long i, long c, const vec *y) {
            mask at;
            keep(i, c, greatest(y, sign_of(load(p.gamma + c)), at));
            store_places(p.place + i, at);
        });
    else
        over_outputs<1>(s, p.x, p.filters, [&](long i, long c, const vec *y) { keep(i, c, *y); });
}

// gw of the mixture m, whose part with s1 and s2 has the sums `sum`.
template <bool BOTH>
static void data_in_filters(const Shape &s, const Patches &d, const Point &p, const Mixture &m,
                            const real *sum, real *gw) {
    int n = s.conv.filters;
    real rows = s.conv.rows();
    s.pools ? patches_times<4, BOTH>(s, p, m, gw) : patches_times<1, BOTH>(s, p, m, gw);
    for (int t = 0; t < s.conv.patch(); t++)
        for (int c = 0; c < n; c++) {
            long i = long(t) * n + c;
            gw[i] += rows * m.b1[c] * d.cw[i] - d.mean[t] * sum[c];
            if (BOTH) gw[i] += rows * m.b2[c] * d.d_cw[i];
        }
}

static void data_backward(const Shape &s, const Patches &d, const Point &p, real *gw,
                          real *g_gamma) {
    int n = s.conv.filters;
    Buffer sum(n);
    gradient_sums(s, p);
    Mixture m(n, p.gz, nullptr, nullptr, nullptr);
    backward_scales(s, p, m);
    for (int c = 0; c < n; c++) {
        g_gamma[c] = p.r[c] * p.q[c];
        sum[c] = m.s1[c] * p.sum_g[c];
    }
    data_in_filters<false>(s, d, p, m, sum, gw);
}

static void data_tangent(const Shape &s, const Patches &d, const Point &p, real *dz) {
    covariance_times(s, d, p.d_filters, d.d_cw);
    data_sums(s, d, d.cw, p.d_filters, p.d_mean, p.dr);
    for (int c = 0; c < s.conv.filters; c++) p.dr[c] *= -p.r[c] * p.r[c] * p.r[c];
    if (s.pools)
        over_outputs<4>(s, p.x, p.d_filters, [&](long i, long, const vec *dy) {
            store(p.d_top + i, chosen(dy, load_places(p.place + i)));
        });
    else
        over_outputs<1>(s, p.x, p.d_filters,
                        [&](long i, long, const vec *dy) { store(p.d_top + i, *dy); });
    activate_along(s, p, dz);
}

static void data_curvature(const Shape &s, const Patches &d, const Point &p, const real *dgz,
                           real *dgw, real *dg_gamma, real *dg_beta) {
    int n = s.conv.filters;
    Buffer dq(n), sum(n);
    gradient_sums_along(s, p, dgz, dg_beta, dq);
    Mixture m(n, dgz, p.gz, nullptr, nullptr);
    curvature_scales(s, p, dg_beta, dq, m);
    for (int c = 0; c < n; c++) {
        dg_gamma[c] = p.dr[c] * p.q[c] + p.r[c] * dq[c];
        sum[c] = m.s1[c] * dg_beta[c] + m.s2[c] * p.sum_g[c];
    }
    data_in_filters<true>(s, d, p, m, sum, dgw);
}
